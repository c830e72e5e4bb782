//! Messages in one line, for logs and test failures.

use std::fmt::{self, Display, Formatter};

use super::message::{Body, Message, UpdateAction};

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        f.write_str(if i == 0 { ": " } else { ", " })?;
        item.fmt(f)?;
    }
    Ok(())
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {:#010x} to {:#010x}", self.type_(), self.sender, self.receiver)?;
        let flag = |f: &mut Formatter<'_>, set: bool, name: &str| match set {
            true => write!(f, " ({name})"),
            false => Ok(()),
        };
        match &self.body {
            Body::Presence { reply_required, checksum, server } => {
                flag(f, *reply_required, "reply required")?;
                if let Some(checksum) = checksum {
                    write!(f, ", checksum {checksum:#06x}")?;
                }
                server.as_ref().map_or(Ok(()), |server| write!(f, ": {server}"))
            }
            Body::HandleTableRequest { own } => flag(f, *own, "own elements only"),
            Body::HandleTableResponse { rejected, more, entries } => {
                flag(f, *rejected, "rejected")?;
                flag(f, *more, "more to come")?;
                let elements: usize = entries.iter().map(|entry| entry.elements.len()).sum();
                write!(f, ", {elements} elements of {} pools", entries.len())
            }
            Body::HandleUpdate { takeover_suggested, action, handle, element } => {
                flag(f, *takeover_suggested, "takeover suggested")?;
                f.write_str(match action {
                    UpdateAction::Add => ", add ",
                    UpdateAction::Delete => ", delete ",
                })?;
                write!(f, "{handle}: {element}")
            }
            Body::ListRequest => Ok(()),
            Body::ListResponse { rejected, servers } => {
                flag(f, *rejected, "rejected")?;
                list(f, servers)
            }
            Body::InitTakeover { target }
            | Body::InitTakeoverAck { target }
            | Body::TakeoverServer { target } => write!(f, ", target {target:#010x}"),
            Body::Error(causes) => list(f, causes),
        }
    }
}
