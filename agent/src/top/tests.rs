use super::*;

fn association(pid: i32, state: AssociationState) -> AssociationReport {
    AssociationReport {
        pid,
        executable: Some("/usr/bin/socat".into()),
        local_port: 7001,
        peer_port: 7000,
        binding: None,
        local: vec![[10, 2, 0, 2].into()],
        peer: vec![[10, 3, 0, 2].into()],
        state,
        why: String::new(),
        add_ip: Some(true),
        in_state_ms: 61_000,
        moves: 2,
        last_move_ms: Some(48),
    }
}

fn decision(pid: i32, text: &str) -> Decision {
    Decision {
        sequence: 1,
        time_ms: 45_296_789,
        subject: Subject::Association { pid, local_port: 7001, peer_port: Some(7000) },
        text: text.to_owned(),
        cause: "it is usable".to_owned(),
        fields: Default::default(),
    }
}

fn view(associations: &[AssociationReport], decisions: &[Decision]) -> View {
    let status = StatusReport {
        version: "0.1.0".to_owned(),
        uptime_ms: 7_200_000,
        settled: 1,
        stranded: 1,
        held: vec![[10, 1, 0, 2].into()],
        problems: vec!["rp_filter is strict on a1".to_owned()],
        ..StatusReport::default()
    };
    View::of(Answers { status: &status, associations, addresses: &[], decisions })
}

#[test]
fn the_picture_is_drawn_into_a_buffer_of_a_fixed_size() {
    let associations =
        [association(7, AssociationState::Settled), association(9, AssociationState::Stranded)];
    let decisions = [decision(7, "add 10.2.0.2"), decision(9, "stranded")];
    let drawn = view(&associations, &decisions).draw(Some(Size { columns: 104, rows: 12 }), false);
    let expected = "\
roamd 0.1.0 for 2h: 1 settled, 0 moving, 1 stranded, 0 unmanageable
handovers: none; mean gap 0 ms, 0 ms of it with an address
ASCONF: 0 accepted, 0 refused, 0 unanswered; registrar: none; 0 registrations
usable addresses: none; held: 10.1.0.2
rp_filter is strict on a1

STATE        SINCE   MOVES  LAST     PROCESS                 PATH; LAST DECISION
stranded     61s     2      48 ms    9 socat                 10.2.0.2:7001 > 10.3.0.2:7000; stranded
settled      61s     2      48 ms    7 socat                 10.2.0.2:7001 > 10.3.0.2:7000; add 10.2.0.2

12:34:56.789 association 7:7001-7000: add 10.2.0.2 (it is usable)
12:34:56.789 association 9:7001-7000: stranded (it is usable)
";
    assert_eq!(drawn, expected);
}

#[test]
fn whatever_the_screen_nothing_is_beyond_it_and_the_urgent_ones_are_seen() {
    let mut associations: Vec<_> = (0..50).map(|pid| association(pid, AssociationState::Settled)).collect();
    associations.push(association(99, AssociationState::Stranded));
    let decisions: Vec<_> = (0..40).map(|pid| decision(pid, "add 10.2.0.2")).collect();
    let view = view(&associations, &decisions);
    for rows in 0..80 {
        for columns in [0, 1, 20, 200] {
            let drawn = view.draw(Some(Size { columns, rows }), false);
            assert!(drawn.lines().count() <= rows, "{rows}");
            assert!(drawn.lines().all(|line| line.chars().count() <= columns));
        }
        let drawn = view.draw(Some(Size { columns: 200, rows }), false);
        assert!(rows < 9 || drawn.contains("99 socat"), "{rows}: {drawn}");
        assert!(rows < 14 || drawn.contains("association 39:"), "the last decision: {rows}: {drawn}");
    }
    let whole = view.draw(None, false);
    assert_eq!(whole.lines().count(), 6 + 1 + 51 + 1 + 40);
}

#[test]
fn what_a_program_is_called_cannot_command_the_terminal() {
    let mut evil = association(7, AssociationState::Moving);
    evil.executable = Some("/tmp/\x1b[2Jx".into());
    let view = view(&[evil], &[decision(7, "\x1b]0;x\x07")]);
    assert!(!view.draw(None, false).contains('\x1b'));
    let colourful = view.draw(None, true);
    assert!(colourful.contains("\x1b[33mmoving") && !colourful.contains("\x1b[2J"), "{colourful}");
}
