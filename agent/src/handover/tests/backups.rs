//! Backups: warm ones are in the association and not preferred, cold ones only while they are needed.

use super::*;

fn backups(host: &mut Host, warm: &[IpAddr], cold: &[IpAddr]) {
    let set = |list: &[IpAddr]| list.iter().copied().collect();
    host.tell(Input::About { warm: set(warm), cold: set(cold), dead: BTreeSet::new() });
}

#[test]
fn that_an_address_is_a_backup_changes_nothing_by_itself() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    backups(&mut host, &[], &[new()]);
    assert_eq!(host.take(), []);
}

#[test]
fn a_warm_backup_is_added_and_neither_preferred_nor_is_the_primary_left() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    backups(&mut host, &[new()], &[]);
    host.usable(&[old(), new()]);
    assert_eq!(host.take(), [Action::Add(new())]);
    let serial = host.add(new());
    host.answered(serial, peer());
    host.settle();
    assert_eq!(host.planner.state(), State::Settled);
    assert!(!host.did(&Action::SetPeerPrimary(new())), "{:?}", host.actions);
    assert!(!host.did(&Action::Remove(old())), "{:?}", host.actions);
}

#[test]
fn a_warm_backup_takes_over_and_gives_back_without_being_left() {
    let mut host = Host::at(&[old(), new()], Binding::Explicit);
    backups(&mut host, &[new()], &[]);
    host.usable(&[new()]);
    assert!(host.did(&Action::SetPeerPrimary(new())));
    host.settle();
    assert!(host.did(&Action::Remove(old())));
    host.delete(old(), peer());
    host.settle();
    host.take();
    host.usable(&[old(), new()]);
    assert!(host.did(&Action::Add(old())), "{:?}", host.actions);
    let serial = host.add(old());
    host.answered(serial, peer());
    host.settle();
    assert!(host.did(&Action::SetPeerPrimary(old())), "{:?}", host.actions);
    assert!(!host.did(&Action::Remove(new())), "{:?}", host.actions);
}

#[test]
fn a_primary_that_is_back_before_it_was_deleted_is_preferred_again() {
    let mut host = Host::at(&[old(), new()], Binding::Explicit);
    backups(&mut host, &[new()], &[]);
    host.usable(&[new()]);
    assert!(host.did(&Action::SetPeerPrimary(new())));
    host.take();
    host.usable(&[old(), new()]);
    assert!(host.did(&Action::SetPeerPrimary(old())), "{:?}", host.actions);
}

#[test]
fn a_cold_backup_is_not_added_while_the_primary_works_and_left_when_it_does_again() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    backups(&mut host, &[], &[new()]);
    host.usable(&[old(), new()]);
    host.settle();
    assert!(!host.did(&Action::Add(new())));
    host.usable(&[new()]);
    assert!(host.did(&Action::Add(new())));
    let serial = host.add(new());
    host.answered(serial, peer());
    host.settle();
    host.delete(old(), peer());
    host.settle();
    host.take();
    host.usable(&[old(), new()]);
    let serial = host.add(old());
    host.answered(serial, peer());
    host.settle();
    assert!(host.did(&Action::Remove(new())), "{:?}", host.actions);
}
