//! The service of the simulation: it answers each request by a number that depends on it, and, where the service has a
//! state, on all requests before it.

use asap_client::session::user::Exchange;

#[derive(Clone, Debug)]
pub(crate) struct App {
    stateful: bool,
    chain: u64,
    owed: Vec<Vec<u8>>,
}

fn mix(chain: u64, request: u64) -> u64 {
    let mixed = (chain ^ request).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

impl App {
    pub(crate) fn new(exchange: Exchange) -> Self {
        Self { stateful: exchange == Exchange::Transactions, chain: 1, owed: Vec::new() }
    }

    pub(crate) fn request(number: u64) -> [u8; 8] {
        number.to_be_bytes()
    }

    pub(crate) fn execute(&mut self, request: &[u8]) -> [u8; 8] {
        let request = u64::from_be_bytes(request.try_into().expect("a request has 8 octets"));
        let answer = mix(self.chain, request);
        if self.stateful {
            self.chain = answer;
        }
        answer.to_be_bytes()
    }

    /// The state, with an answer that is still to be sent.
    pub(crate) fn state(&self, owed: &[u8]) -> Vec<u8> {
        [&[u8::from(self.stateful)], &self.chain.to_be_bytes()[..], owed].concat()
    }

    pub(crate) fn restored(state: &[u8]) -> Self {
        let chain = u64::from_be_bytes(state[1..9].try_into().expect("9 octets"));
        let owed = if state.len() > 9 { vec![state[9..].to_vec()] } else { Vec::new() };
        Self { stateful: state[0] == 1, chain, owed }
    }

    /// The answers that are still to be sent.
    pub(crate) fn owed(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.owed)
    }
}
