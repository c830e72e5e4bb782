//! The filter that the kernel runs on every packet (classic BPF).
//!
//! It lets through SCTP packets that begin with a chunk of interest, or have one behind chunks that are
//! neither data nor of interest (an acknowledgement, a heartbeat), up to [`CHUNKS`] in all. Extension
//! headers of IPv6 are passed over up to [`EXTENSIONS`].

use super::chunk::OF_INTEREST;

/// One instruction, as the kernel's `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip when a comparison holds.
    pub jt: u8,
    /// How many when it does not.
    pub jf: u8,
    /// Constant.
    pub k: u32,
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());

/// Chunks of a packet that are looked at.
const CHUNKS: usize = 3;
/// IPv6 extension headers that are passed over.
const EXTENSIONS: usize = 3;

const LD_B_ABS: u16 = 0x30;
const LD_H_ABS: u16 = 0x28;
const LD_B_IND: u16 = 0x50;
const LD_H_IND: u16 = 0x48;
const LD_IMM: u16 = 0x00;
const LDX_MSH: u16 = 0xb1;
const LDX_IMM: u16 = 0x01;
const ADD_K: u16 = 0x04;
const ADD_X: u16 = 0x0c;
const AND_K: u16 = 0x54;
const LSH_K: u16 = 0x64;
const TAX: u16 = 0x07;
const ST: u16 = 0x02;
const LD_MEM: u16 = 0x60;
const JA: u16 = 0x05;
const JEQ: u16 = 0x15;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;
/// Where the kernel keeps a packet's protocol and direction (`SKF_AD_OFF` plus).
const PROTOCOL: u32 = 0xffff_f000;
const PACKET_TYPE: u32 = 0xffff_f004;

const ETH_P_IP: u32 = 0x0800;
const ETH_P_IPV6: u32 = 0x86dd;
const SCTP: u32 = 132;
const UDP: u32 = 17;
const ALL: u32 = 0xffff;

/// Where a comparison leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Next,
    Label(usize),
}

/// Writes instructions with jumps to labels, resolved at the end. Jumps are forward only.
#[derive(Default)]
struct Assembler {
    code: Vec<(u16, u32, To, To)>,
    /// Where each label is, once it is placed.
    labels: Vec<usize>,
}

impl Assembler {
    fn label(&mut self) -> usize {
        self.labels.push(usize::MAX);
        self.labels.len() - 1
    }

    fn place(&mut self, label: usize) {
        self.labels[label] = self.code.len();
    }

    fn op(&mut self, code: u16, k: u32) {
        self.code.push((code, k, To::Next, To::Next));
    }

    fn branch(&mut self, code: u16, k: u32, yes: To, no: To) {
        self.code.push((code, k, yes, no));
    }

    fn go(&mut self, label: usize) {
        self.branch(JA, 0, To::Label(label), To::Next);
    }

    fn finish(self) -> Vec<Instruction> {
        let distance = |at: usize, to| match to {
            To::Next => 0,
            To::Label(label) => self.labels[label] - at - 1,
        };
        let one = |(at, &(code, k, yes, no)): (usize, &(u16, u32, To, To))| match code {
            JA => Instruction { code, jt: 0, jf: 0, k: distance(at, yes) as u32 },
            // A test makes sure that no distance is above 255.
            _ => Instruction { code, jt: distance(at, yes) as u8, jf: distance(at, no) as u8, k },
        };
        self.code.iter().enumerate().map(one).collect()
    }
}

/// The filter, for packets that begin at their network header. With a port, UDP from or to it is looked
/// into as well (RFC 6951).
pub fn filter(udp_port: Option<u16>) -> Vec<Instruction> {
    use To::{Label, Next};
    let mut a = Assembler::default();
    let (drop, pass) = (a.label(), a.label());
    let (v6, transport, sctp) = (a.label(), a.label(), a.label());

    // What is for other hosts (a bridge, promiscuous mode) is none of ours. Jumps to `drop` and `pass` at
    // the end are too far for a comparison: they go through a near copy.
    let near = a.label();
    a.op(LD_B_ABS, PACKET_TYPE);
    a.branch(JEQ, libc::PACKET_OTHERHOST.into(), Label(near), Next);
    a.op(LD_H_ABS, PROTOCOL);
    a.branch(JEQ, ETH_P_IPV6, Label(v6), Next);
    a.branch(JEQ, ETH_P_IP, Next, Label(near));
    // IPv4: the first fragment only; X is the header's length, A the protocol.
    a.op(LD_H_ABS, 6);
    a.branch(JSET, 0x1fff, Label(near), Next);
    a.op(LDX_MSH, 0);
    a.op(LD_B_ABS, 9);
    a.go(transport);
    a.place(near);
    a.op(RET, 0);

    // IPv6: X is where the next header begins, A its protocol.
    a.place(v6);
    a.op(LDX_IMM, 40);
    a.op(LD_B_ABS, 6);
    for _ in 0..EXTENSIONS {
        let extension = a.label();
        for kind in [0, 43, 60] {
            a.branch(JEQ, kind, Label(extension), Next);
        }
        a.go(transport);
        a.place(extension);
        a.op(LD_B_IND, 0);
        a.op(ST, 0);
        a.op(LD_B_IND, 1);
        a.op(LSH_K, 3);
        a.op(ADD_K, 8);
        a.op(ADD_X, 0);
        a.op(TAX, 0);
        a.op(LD_MEM, 0);
    }

    a.place(transport);
    a.branch(JEQ, SCTP, Label(sctp), Next);
    if let Some(port) = udp_port {
        let (wrapped, no) = (a.label(), a.label());
        a.branch(JEQ, UDP, Next, Label(no));
        a.op(LD_H_IND, 0);
        a.branch(JEQ, port.into(), Label(wrapped), Next);
        a.op(LD_H_IND, 2);
        a.branch(JEQ, port.into(), Label(wrapped), Next);
        a.place(no);
        a.op(RET, 0);
        a.place(wrapped);
        a.op(LD_IMM, 8);
        a.op(ADD_X, 0);
        a.op(TAX, 0);
    } else {
        a.op(RET, 0);
    }

    // X is where the SCTP header begins; later, twelve octets before a chunk. Reading beyond the packet
    // ends the filter and drops it.
    a.place(sctp);
    for chunk in 0..CHUNKS {
        a.op(LD_B_IND, 12);
        for kind in OF_INTEREST {
            a.branch(JEQ, kind.into(), Label(pass), Next);
        }
        // DATA and I-DATA are last in a packet, so nothing of interest follows.
        a.branch(JEQ, 0, Label(drop), Next);
        a.branch(JEQ, 0x40, Label(drop), Next);
        if chunk + 1 < CHUNKS {
            a.op(LD_H_IND, 14);
            a.op(ADD_K, 3);
            a.op(AND_K, 0xffff_fffc);
            a.op(ADD_X, 0);
            a.op(TAX, 0);
        }
    }
    a.place(drop);
    a.op(RET, 0);
    a.place(pass);
    a.op(RET, ALL);
    a.finish()
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
