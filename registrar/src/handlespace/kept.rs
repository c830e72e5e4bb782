//! An element as its pool keeps it: what a response says of it close at hand, the rest elsewhere.

use asap_client::wire::{ParameterType, Writer};
use std::time::Instant;

use super::Element;
use super::ahead::prefetch;
use super::moment::Moment;
use crate::Association;

/// What is kept of an element.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    told: Told,
    rest: Box<Rest>,
}

/// What came of putting an element in the place of another of the same identifier.
pub(super) struct Renewed {
    /// The element that was there.
    pub(super) before: Box<Element>,
    /// Pool users see a difference.
    pub(super) changed: bool,
    /// When it was to be looked at, and when it is now.
    pub(super) looks: (Moment, Moment),
}

/// What few ask for.
#[derive(Clone, Debug)]
struct Rest {
    element: Element,
    look: Moment,
    /// Its place among the elements of its owner.
    owned_at: u32,
    answered: Option<Instant>,
    /// It is ours by an answer, and has not registered here.
    adopted: bool,
}

/// What a response says of an element behind its identifier, as octets of the wire. With the identifier, where it lives
/// among other elements of its pool, and with the rest's address it takes one line of the processor's cache.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// 0: it is longer, or not a multiple of four octets. Then it is written when it is needed.
    length: u8,
    octets: [u8; ROOM],
}

/// Enough for one address of either family or two of IPv4, with most policies.
const ROOM: usize = 47;

/// A parameter's header and the identifier.
const BEFORE: usize = 8;

impl Told {
    fn new(element: &Element, buffer: &mut Vec<u8>) -> Self {
        let mut told = Self { length: 0, octets: [0; ROOM] };
        let mut writer = Writer::reusing(std::mem::take(buffer));
        element.as_wire().emit(&mut writer);
        *buffer = writer.finish().unwrap_or_default();
        let octets = &**buffer;
        let aligned = matches!(octets, [_, _, high, low, ..] if octets.len() == usize::from(u16::from_be_bytes([*high, *low])));
        if let Some(octets) = octets.get(BEFORE..)
            && aligned
            && let Some(place) = told.octets.get_mut(..octets.len())
        {
            place.copy_from_slice(octets);
            told.length = u8::try_from(octets.len()).unwrap_or(0);
        }
        told
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl Kept {
    /// One that is looked at at this moment, and has this place among the elements of its owner. What is written on the way is written into the buffer, as below.
    pub(super) fn new(element: Element, look: Moment, owned_at: u32, buffer: &mut Vec<u8>) -> Self {
        let told = Told::new(&element, buffer);
        Self { told, rest: Box::new(Rest { element, look, owned_at, answered: None, adopted: false }) }
    }

    pub(super) fn element(&self) -> &Element {
        &self.rest.element
    }

    pub(super) fn into_element(self) -> Element {
        self.rest.element
    }

    /// Puts another element in its place, whose registration ends at this moment. What else is kept stays.
    pub(super) fn renew(&mut self, element: Element, expires: Moment, buffer: &mut Vec<u8>) -> Renewed {
        let rest = &mut *self.rest;
        rest.adopted = false;
        let look = if expires == Moment::NEVER { expires } else { rest.look.min(expires) };
        let looks = (std::mem::replace(&mut rest.look, look), look);
        let changed = rest.element.differs_for_users(&element);
        let told = changed || (rest.element.home, rest.element.life) != (element.home, element.life);
        let before = Box::new(std::mem::replace(&mut rest.element, element));
        if told {
            self.told = Told::new(&rest.element, buffer);
        }
        Renewed { before, changed, looks }
    }

    /// Gives it another home and another owner; those that it had before.
    pub(super) fn set_home(
        &mut self,
        home: u32,
        owner: Option<Association>,
        buffer: &mut Vec<u8>,
    ) -> (u32, Option<Association>) {
        let element = &mut self.rest.element;
        let before =
            (std::mem::replace(&mut element.home, home), std::mem::replace(&mut element.owner, owner));
        self.told = Told::new(element, buffer);
        before
    }

    /// To change what no response says.
    pub(super) fn untold(&mut self) -> &mut Element {
        &mut self.rest.element
    }

    /// When it is looked at whether its registration has ended.
    pub(super) fn look(&self) -> Moment {
        self.rest.look
    }

    pub(super) fn set_look(&mut self, look: Moment) {
        self.rest.look = look;
    }

    /// Its place among the elements of its owner.
    pub(super) fn owned_at(&self) -> u32 {
        self.rest.owned_at
    }

    pub(super) fn set_owned_at(&mut self, at: u32) {
        self.rest.owned_at = at;
    }

    /// When it last answered a keep-alive.
    pub(super) fn answered(&self) -> Option<Instant> {
        self.rest.answered
    }

    pub(super) fn set_answered(&mut self, at: Instant) {
        self.rest.answered = Some(at);
    }

    /// Whether it is ours by an answer alone.
    pub(super) fn is_adopted(&self) -> bool {
        self.rest.adopted
    }

    pub(super) fn set_adopted(&mut self) {
        self.rest.adopted = true;
    }

    /// Writes what a response says of it.
    pub(super) fn emit(&self, id: u32, writer: &mut Writer) {
        match self.told.octets() {
            [] => self.rest.element.as_wire().emit(writer),
            octets => writer.parameter(ParameterType::POOL_ELEMENT, |w| {
                w.u32(id);
                w.bytes(octets);
            }),
        }
    }

    /// Asks the processor's cache for what [`Self::emit`] needs, without waiting for it.
    pub(super) fn prefetch(&self) {
        // It may lie across two lines.
        let Told { length, octets: [.., last] } = &self.told;
        prefetch(length);
        prefetch(last);
    }
}
