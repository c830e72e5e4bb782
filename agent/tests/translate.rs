//! The translation table on a real kernel: what is asked for by netlink is what `nft` lists. Needs root (a network
//! namespace of its own) and nftables.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;

use roam_agent::translate::{Pair, Rule, Translator, remove_leftovers};

/// Runs `test` on a thread that has a network namespace of its own.
fn in_own_namespace(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
                    .expect("a network namespace (root is needed)");
                test();
            })
            .join()
            .expect("the test's thread");
    });
}

fn listed() -> String {
    let output = Command::new("nft").args(["list", "ruleset"]).output().expect("nft");
    String::from_utf8(output.stdout).expect("text")
}

fn rules() -> BTreeSet<Rule> {
    let pair = Pair { local_port: 7001, peer_port: 7000 };
    let v4 = |last| IpAddr::from([10, 1, 0, last]);
    let v6 = |last: u16| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]);
    BTreeSet::from([
        Rule::Guard(pair),
        Rule::NoAbortIn(pair),
        Rule::NoGapsIn(pair),
        Rule::NoHeartbeatAckOut(pair),
        Rule::Restrict { pair, source: v4(1), destination: v4(2) },
        Rule::Restrict { pair, source: v6(1), destination: v6(2) },
        Rule::RestrictTo { pair, destination: v4(2) },
        Rule::RestrictTo { pair, destination: v6(2) },
        Rule::Block { pair, source: v4(3) },
        Rule::Block { pair, source: v6(3) },
        Rule::OutSource { pair, from: v4(4), to: v4(5) },
        Rule::OutSource { pair, from: v6(4), to: v6(5) },
        Rule::OutDestination { pair, from: v4(6), to: v4(7) },
        Rule::OutDestination { pair, from: v6(6), to: v6(7) },
        Rule::AnswerTo { pair, from: v4(6), to: v4(8) },
        Rule::AnswerTo { pair, from: v6(6), to: v6(8) },
        Rule::InSource { pair, from: v4(8), to: v4(9) },
        Rule::InSource { pair, from: v6(8), to: v6(9) },
        Rule::InDestination { pair, from: v4(10), to: v4(11) },
        Rule::InDestination { pair, from: v6(10), to: v6(11) },
    ])
}

#[test]
fn elements_changed_by_netlink_are_what_nft_lists() {
    in_own_namespace(|| {
        let mut translator = Translator::install(BTreeSet::new(), None).expect("the table");
        translator.change(&BTreeSet::new(), &rules()).expect("elements");
        let by_netlink = listed();
        assert!(by_netlink.contains("7001 . 7000 . 10.1.0.4 : 10.1.0.5"), "{by_netlink}");
        // The same rules, written by nft itself at the start.
        let translator = Translator::install(rules(), None).expect("the table, replaced");
        assert_eq!(listed(), by_netlink);
        drop(translator);
    });
}

#[test]
fn rules_that_are_no_longer_wanted_are_gone_and_others_stay() {
    in_own_namespace(|| {
        let mut translator = Translator::install(rules(), None).expect("the table");
        let kept: BTreeSet<Rule> = rules().into_iter().take(1).collect();
        translator.change(&rules(), &kept).expect("elements");
        let listing = listed();
        assert!(listing.contains("elements = { 7001 . 7000 }") && !listing.contains("10.1.0."), "{listing}");
        assert!(translator.installed().eq(&kept));
    });
}

#[test]
fn a_rule_that_two_associations_want_goes_with_the_second() {
    in_own_namespace(|| {
        let (none, wanted) = (BTreeSet::new(), rules());
        let mut translator =
            Translator::install(wanted.iter().copied().chain(rules()), None).expect("the table");
        let full = listed();
        translator.change(&wanted, &none).expect("one no longer wants them");
        assert_eq!(listed(), full);
        translator.change(&wanted, &none).expect("nobody does");
        assert!(!listed().contains("elements"), "{}", listed());
        translator.change(&none, &wanted).expect("one does");
        translator.change(&none, &wanted).expect("and another");
        assert_eq!(listed(), full);
    });
}

#[test]
fn a_batch_that_the_kernel_refuses_changes_nothing_and_says_so() {
    in_own_namespace(|| {
        let mut translator = Translator::install(BTreeSet::new(), None).expect("the table");
        remove_leftovers().expect("the table is taken away behind its back");
        translator.change(&BTreeSet::new(), &rules()).expect_err("there is no such set");
        assert_eq!(translator.installed().count(), 0);
    });
}

#[test]
fn nothing_is_left_after_uninstalling() {
    in_own_namespace(|| {
        Translator::install(rules(), None).expect("the table").uninstall().expect("gone");
        assert!(!listed().contains("roam"));
    });
}
