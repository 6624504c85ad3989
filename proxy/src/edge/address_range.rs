//! A range of addresses, such as those that stand for other edges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;

/// The default.
const IMPORT_ADDRESSES: &str = "127.98.0.0/16";

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AddressRange {
    first: Ipv4Addr,
    length: u8,
}

impl AddressRange {
    /// How many addresses there are to give, those at both ends left out.
    pub(super) fn size(&self) -> u32 {
        (1_u32 << (32 - u32::from(self.length))) - 2
    }

    /// The address with a number, from 0.
    pub(super) fn address(&self, number: u32) -> Option<Ipv4Addr> {
        (number < self.size()).then(|| Ipv4Addr::from_bits(self.first.to_bits() + 1 + number))
    }

    /// The number of an address that may be given.
    pub(super) fn number(&self, address: Ipv4Addr) -> Option<u32> {
        let number = address.to_bits().checked_sub(self.first.to_bits())?.checked_sub(1)?;
        (number < self.size()).then_some(number)
    }

    /// Whether an address of any kind is one of them.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if self.contains(address))
    }

    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX << (32 - u32::from(self.length));
        address.to_bits() & mask == self.first.to_bits()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.length)
    }
}

impl Default for AddressRange {
    fn default() -> Self {
        Self { first: Ipv4Addr::new(127, 98, 0, 0), length: 16 }
    }
}

impl TryFrom<String> for AddressRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a range of addresses such as {IMPORT_ADDRESSES}, of 8 to 30 bits");
        let (first, length) = text.split_once('/').ok_or_else(wrong)?;
        let (first, length): (Ipv4Addr, u8) =
            (first.parse().map_err(|_| wrong())?, length.parse().map_err(|_| wrong())?);
        let range = Self { first, length };
        if (8..=30).contains(&length) && range.contains(first) { Ok(range) } else { Err(wrong()) }
    }
}
