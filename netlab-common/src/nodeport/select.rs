//! Which backend a new connection goes to.

use super::{Room, Tables};
use crate::abi::{BackendKey, Frontend};

/// Puts a backend, chosen at random, into the room. The last slots may just have been
/// taken away; the first one is the last to go.
#[inline(always)]
pub(super) fn select<T: Tables>(frontend: &Frontend, tables: &T, room: &mut Room) -> bool {
    // The product's upper half: a number below `backends`.
    let slot = ((u64::from(tables.random()) * u64::from(frontend.backends)) >> 32) as u32;
    for slot in [slot, 0] {
        let key = BackendKey { service: frontend.service, slot };
        if let Some(backend) = tables.backend(&key) {
            room.backend = backend;
            return true;
        }
    }
    false
}
