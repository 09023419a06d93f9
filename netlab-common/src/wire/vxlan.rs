//! VXLAN (RFC 7348).

/// A VXLAN network identifier: 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// `None` where `value` needs more than 24 bits.
    #[inline(always)]
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value < 1 << 24 { Some(Self(value)) } else { None }
    }

    /// The number.
    #[inline(always)]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Flags, reserved, VNI, reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VxlanHeader(pub [u8; Self::LEN]);

impl VxlanHeader {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// A header with a valid VNI (the I flag).
    #[inline(always)]
    #[must_use]
    pub const fn new(vni: Vni) -> Self {
        let [_, a, b, c] = vni.0.to_be_bytes();
        Self([0x08, 0, 0, 0, a, b, c, 0])
    }

    /// The VNI; `None` where the I flag says that there is none.
    #[inline(always)]
    #[must_use]
    pub const fn vni(&self) -> Option<Vni> {
        if self.0[0] & 0x08 == 0 {
            return None;
        }
        Some(Vni(u32::from_be_bytes([0, self.0[4], self.0[5], self.0[6]])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vni_has_24_bits() {
        assert_eq!(Vni::new(1 << 24), None);
        let vni = Vni::new((1 << 24) - 1);
        assert_eq!(vni.and_then(|vni| VxlanHeader::new(vni).vni()), vni);
    }
}
