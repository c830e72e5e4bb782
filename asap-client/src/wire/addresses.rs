//! The addresses of a transport.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::ops::Deref;
use std::slice;

/// Addresses in their order, read as a slice. Nearly every transport has one, and registrars keep transports by the hundred
/// thousand: one address is kept in place, without memory of its own.
#[derive(Clone)]
pub struct Addresses(Kept);

#[derive(Clone)]
enum Kept {
    One(IpAddr),
    /// None or several.
    Others(Box<[IpAddr]>),
}

impl Deref for Addresses {
    type Target = [IpAddr];

    fn deref(&self) -> &[IpAddr] {
        match &self.0 {
            Kept::One(address) => slice::from_ref(address),
            Kept::Others(addresses) => addresses,
        }
    }
}

impl Default for Addresses {
    /// None.
    fn default() -> Self {
        Self(Kept::Others(Box::default()))
    }
}

impl From<IpAddr> for Addresses {
    fn from(address: IpAddr) -> Self {
        Self(Kept::One(address))
    }
}

impl From<&[IpAddr]> for Addresses {
    fn from(addresses: &[IpAddr]) -> Self {
        match addresses {
            [one] => (*one).into(),
            others => Self(Kept::Others(others.into())),
        }
    }
}

impl From<Vec<IpAddr>> for Addresses {
    fn from(addresses: Vec<IpAddr>) -> Self {
        match *addresses {
            [one] => one.into(),
            _ => Self(Kept::Others(addresses.into())),
        }
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut addresses = addresses.into_iter();
        match (addresses.next(), addresses.next()) {
            (None, _) => Self::default(),
            (Some(one), None) => one.into(),
            (Some(first), Some(second)) => {
                Self(Kept::Others([first, second].into_iter().chain(addresses).collect()))
            }
        }
    }
}

impl<'a> IntoIterator for &'a Addresses {
    type Item = &'a IpAddr;
    type IntoIter = slice::Iter<'a, IpAddr>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Addresses {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Addresses {}

impl Hash for Addresses {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Transport;
    use std::collections::HashSet;

    fn some(count: u8) -> Vec<IpAddr> {
        (0..count).map(|last| [10, 0, 0, last].into()).collect()
    }

    #[test]
    fn however_many_there_are_and_however_they_came_they_are_the_same_in_the_same_order() {
        for count in 0..4 {
            let list = some(count);
            let each: [Addresses; 3] =
                [list.clone().into(), list.as_slice().into(), list.iter().copied().collect()];
            for addresses in &each {
                assert_eq!(**addresses, *list);
                assert!(addresses.into_iter().eq(&list));
                assert_eq!(format!("{addresses:?}"), format!("{list:?}"));
                assert_ne!(*addresses, some(count + 1).into());
            }
            assert_eq!(HashSet::from(each).len(), 1);
        }
        assert!(Addresses::default().is_empty());
        assert_eq!(*Addresses::from(some(1)[0]), *some(1));
    }

    #[test]
    fn a_transport_with_one_address_takes_no_more_room_than_one_with_a_list() {
        assert_eq!(size_of::<Addresses>(), size_of::<Vec<IpAddr>>());
        assert_eq!(size_of::<Transport>(), size_of::<(Vec<IpAddr>, u64)>());
    }
}
