//! Whoever changes nftables beside us is heard, and we are not.

use std::collections::BTreeSet;
use std::time::Duration;

use roam_agent::translate::{Loss, Pair, Rule, TableWatch, Translator};

use super::translation::{namespace, nft, run};

/// More changes than a netlink socket has room for.
fn changes(translator: &mut Translator) {
    let rule = |port| BTreeSet::from([Rule::Guard(Pair { local_port: port, peer_port: 7000 })]);
    for port in 1..=2_000 {
        translator.change(&BTreeSet::new(), &rule(port)).unwrap();
        translator.change(&rule(port), &BTreeSet::new()).unwrap();
    }
}

/// What has been heard by now: the kernel tells before the change is done, so that nothing is on its way.
async fn heard(watch: &mut TableWatch) -> Option<Loss> {
    tokio::time::timeout(Duration::from_millis(20), watch.loss()).await.ok().map(Result::unwrap)
}

#[tokio::test]
async fn of_the_table_only_what_others_delete_is_heard_and_that_some_of_it_was_not() {
    let _namespace = namespace();
    let mut translator = Translator::install(BTreeSet::new(), None).unwrap();
    let mut watch = TableWatch::open(translator.port()).unwrap();
    changes(&mut translator);
    assert_eq!(heard(&mut watch).await, None, "all of that was ours");

    nft("table ip other {}\ndelete table ip other");
    assert_eq!(heard(&mut watch).await, None, "another table");

    run("nft", "flush table inet roam");
    assert_eq!(heard(&mut watch).await, Some(Loss::Deleted));
    translator.restore().unwrap();
    watch.forget();
    assert_eq!(heard(&mut watch).await, None);

    let mut other = Translator::install(BTreeSet::new(), None).unwrap();
    watch.forget();
    changes(&mut other);
    assert_eq!(heard(&mut watch).await, Some(Loss::Unheard));
}
