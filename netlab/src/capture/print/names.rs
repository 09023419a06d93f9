//! Names of hosts and ports: `-N`. Each is asked for once.

use std::{
    collections::HashMap,
    ffi::CStr,
    net::{IpAddr, SocketAddr},
};

use nix::sys::socket::{SockaddrLike as _, SockaddrStorage};

use super::ip::Address;

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Names that were asked for; `None` where there is none.
#[derive(Debug, Default)]
pub(super) struct Names {
    hosts: HashMap<Address, Option<String>>,
    services: HashMap<(Transport, u16), Option<String>>,
}

/// Hosts that are remembered. All are forgotten at once where there are more, so that memory
/// does not grow with the traffic.
const MANY_HOSTS: usize = 1 << 16;

impl Names {
    /// The name of a host, by whatever the system is configured to ask.
    pub fn host(&mut self, address: Address) -> Option<&str> {
        if self.hosts.len() >= MANY_HOSTS && !self.hosts.contains_key(&address) {
            self.hosts.clear();
        }
        self.hosts
            .entry(address)
            .or_insert_with(|| resolve(address.into(), 0, What::Host))
            .as_deref()
    }

    /// The name of a port (services(5)).
    pub fn service(&mut self, transport: Transport, port: u16) -> Option<&str> {
        let ask = || {
            let any = IpAddr::from([0; 4]);
            resolve(any, port, What::Service(transport)).filter(|name| *name != port.to_string())
        };
        self.services.entry((transport, port)).or_insert_with(ask).as_deref()
    }
}

#[derive(Clone, Copy)]
enum What {
    Host,
    Service(Transport),
}

/// getnameinfo(3).
fn resolve(address: IpAddr, port: u16, what: What) -> Option<String> {
    let address = SockaddrStorage::from(SocketAddr::from((address, port)));
    // NI_MAXHOST, which is more than NI_MAXSERV.
    let mut name = [0u8; 1025];
    let (buffer, room) = (name.as_mut_ptr().cast(), 1025);
    let none = (std::ptr::null_mut(), 0);
    let ((host, host_room), (service, service_room), flags) = match what {
        What::Host => ((buffer, room), none, libc::NI_NAMEREQD),
        What::Service(Transport::Tcp) => (none, (buffer, room), 0),
        What::Service(Transport::Udp) => (none, (buffer, room), libc::NI_DGRAM),
    };
    // SAFETY: the address goes with its own length, and the buffer is as long as said.
    let failed = unsafe {
        libc::getnameinfo(
            address.as_ptr(),
            address.len(),
            host,
            host_room,
            service,
            service_room,
            flags,
        )
    };
    let name = CStr::from_bytes_until_nul(&name).ok()?;
    (failed == 0).then(|| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::{
        super::line::{Line, Options, State},
        *,
    };

    #[test]
    fn a_port_without_a_service_has_no_name() {
        let mut names = Names::default();
        // The last dynamic port (RFC 6335, section 6).
        assert_eq!(names.service(Transport::Tcp, 65535), None);
        assert_eq!(names.service(Transport::Udp, 65535), None);
    }

    #[test]
    fn a_host_is_asked_for_once() {
        let mut names = Names::default();
        let address = Address::V4([192, 0, 2, 1]);
        names.hosts.insert(address, Some("client".to_owned()));
        assert_eq!(names.host(address), Some("client"));
    }

    #[test]
    fn names_stand_in_place_of_numbers_where_that_was_asked_for() {
        let mut state = State::default();
        let address = Address::V4([192, 0, 2, 1]);
        state.names.hosts.insert(address, Some("client".to_owned()));
        state.names.services.insert((Transport::Udp, 53), Some("domain".to_owned()));
        for (numeric, expected) in [(false, "client.domain"), (true, "192.0.2.1.53")] {
            let options = Options { numeric, ..Options::default() };
            let mut text = String::new();
            let mut line = Line { out: &mut text, options: &options, state: &mut state };
            line.address(address);
            line.text(".");
            line.port(Transport::Udp, 53);
            assert_eq!(text, expected);
        }
    }
}
