//! What rsplib's programs say when they compute, as captured on the wire: all of it decodes, and ours is the same octets.

#[path = "common/capture.rs"]
mod capture;

use asap_client::computing::calculator::{self, State, Word};
use asap_client::computing::scripting;
use capture::all;

/// No messages over UDP.
const NO_PORT: u16 = 0;

#[test]
fn every_message_about_a_job_that_rsplib_sent_decodes_and_encodes_to_the_same_octets() {
    let mut words = Vec::new();
    for (name, captured) in all(calculator::PPID, NO_PORT) {
        let message = calculator::Message::decode(&captured.bytes);
        let message = message.unwrap_or_else(|error| panic!("{name}, frame {}: {error}", captured.frame));
        assert_eq!(message.encode(), captured.bytes, "{name}, frame {}", captured.frame);
        if name == "calcapp-session.pcap" {
            words.push((message.word, message.state));
        }
    }
    assert_eq!(words.len(), 12);
    let first = State { job: 1, size: 1_238_501, completed: 0 };
    let accepted = State { job: 1, ..State::default() };
    let complete = State { completed: first.size, ..first };
    assert_eq!(words[..3], [(Word::Request, first), (Word::Accept, accepted), (Word::Complete, complete)]);
}

#[test]
fn every_message_about_a_work_package_that_rsplib_sent_decodes_and_encodes_to_the_same_octets() {
    let mut types = Vec::new();
    for (name, captured) in all(scripting::PPID, NO_PORT) {
        let message = scripting::Message::decode(&captured.bytes);
        let message = message.unwrap_or_else(|error| panic!("{name}, frame {}: {error}", captured.frame));
        types.push(captured.bytes[0]);
        // A user acknowledges without a status, which an element sends.
        if message != scripting::Message::KeepAliveAck {
            assert_eq!(message.encode(), captured.bytes, "{name}, frame {}", captured.frame);
        }
    }
    assert_eq!(types, [1, 2, 2, 6, 4, 5, 6, 3, 3]);
}
