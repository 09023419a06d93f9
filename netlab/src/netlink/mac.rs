//! Ethernet addresses.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// A 48-bit Ethernet address, in the order of the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// The text is not six hexadecimal octets with colons between.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ethernet address")]
pub struct MacError;

impl Mac {
    /// A locally administered address made from an IP address: `prefix`, then the four octets
    /// of an IPv4 address or the last four of an IPv6 one.
    #[must_use]
    pub fn from_address(prefix: [u8; 2], address: IpAddr) -> Self {
        let [a, b] = prefix;
        let [c, d, e, f] = match address {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(v6) => {
                let [.., c, d, e, f] = v6.octets();
                [c, d, e, f]
            }
        };
        // Bit 1 of the first octet: locally administered. Bit 0: group. IEEE 802, 8.2.
        Self([(a | 0x02) & 0xfe, b, c, d, e, f])
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(MacError)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() {
            return Err(MacError);
        }
        Ok(Self(octets))
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back_is_the_same() {
        let mac = Mac([0x02, 0x42, 172, 18, 0, 2]);
        assert_eq!(mac.to_string(), "02:42:ac:12:00:02");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!("02:42:ac:12:00".parse::<Mac>(), Err(MacError));
        assert_eq!("02:42:ac:12:00:02:03".parse::<Mac>(), Err(MacError));
    }

    #[test]
    fn a_made_address_is_local_and_not_a_group() {
        let mac = Mac::from_address([0xff, 0x58], IpAddr::from([10, 244, 1, 2]));
        assert_eq!(mac.0[0] & 0x03, 0x02);
        assert_eq!(mac.0[2..], [10, 244, 1, 2]);
    }
}
