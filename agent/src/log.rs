//! Where the daemon's log goes: to journald with fields of its own, where that reads its standard error; else there as text.
//!
//! What is told of a decision has, beside the message, `decision` and `cause`, and what it is about: `association`,
//! `address`, `handle`. In the journal those are `ROAM_DECISION=`, `ROAM_CAUSE=`, `ROAM_ASSOCIATION=` and so on
//! (`journalctl ROAM_ADDRESS=10.2.0.2`); in text, whose message says the same, the first two are left out.

use std::fmt::{self, Debug};
use std::os::linux::fs::MetadataExt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

/// Begins to log what passes the filter. Only the first call has an effect.
pub fn start(filter: EnvFilter) {
    let journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref())
        .then(tracing_journald::layer)
        .and_then(Result::ok)
        .map(|layer| {
            layer.with_field_prefix(Some("ROAM".to_owned())).with_syslog_identifier("roamd".to_owned())
        });
    let layer = match journal {
        Some(journal) => journal.boxed(),
        None => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).fmt_fields(Text).boxed(),
    };
    // Whoever has begun before goes on.
    let _ = registry().with(layer.with_filter(filter)).try_init();
}

/// Whether standard error is what systemd says that its journal reads (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else { return false };
    let own = std::fs::metadata("/proc/self/fd/2");
    own.is_ok_and(|own| device.parse() == Ok(own.st_dev()) && inode.parse() == Ok(own.st_ino()))
}

/// Fields as text, without those that the message says.
struct Text;

impl<'w> FormatFields<'w> for Text {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = TextLine { writer, begun: false, written: Ok(()) };
        fields.record(&mut line);
        line.written
    }
}

struct TextLine<'w> {
    writer: Writer<'w>,
    begun: bool,
    written: fmt::Result,
}

impl Visit for TextLine<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.written.is_err() || ["decision", "cause"].contains(&field.name()) {
            return;
        }
        let space = if std::mem::replace(&mut self.begun, true) { " " } else { "" };
        self.written = match field.name() {
            "message" => write!(self.writer, "{space}{value:?}"),
            name => write!(self.writer, "{space}{name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_says_once_what_was_decided() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).without_time().fmt_fields(Text);
        let subscriber = registry().with(layer.with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let (decision, cause, association) = ("add 10.2.0.2", "it is usable", "7001 -> 10.3.0.2:7000");
            tracing::info!(target: "plan", decision, cause, %association, pid = 7, "{decision}: {cause}");
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, " INFO plan: add 10.2.0.2: it is usable association=7001 -> 10.3.0.2:7000 pid=7\n");
    }

    #[test]
    fn only_the_stream_that_systemd_names_is_the_journals() {
        let own = std::fs::metadata("/proc/self/fd/2").unwrap();
        assert!(is_journal(Some(&format!("{}:{}", own.st_dev(), own.st_ino()))));
        assert!(!is_journal(Some(&format!("{}:{}", own.st_dev(), own.st_ino() + 1))));
        assert!(!is_journal(Some("nonsense")) && !is_journal(None));
    }
}
