//! Maps of an older ABI version.

use std::{fs, path::PathBuf};

use aya::{Pod, maps::HashMap};
use netlab::datapath::{load::load, migrate, tables};
use netlab_common::{
    abi::{Backend, BackendKey, CtEntry, Frontend, FrontendKey, map, v1},
    conntrack::State,
    flow::{Addr, FlowKey},
};
use netlab_tests::privilege::{Privilege, require};

/// A folder of pins that ends with the test.
struct Pins(PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pin<K: Pod, V: Pod>(pins: &Pins, name: &str, key: K, value: V) {
    let mut map = HashMap::<_, K, V>::create(16, 0).expect("the kernel makes a map");
    map.insert(key, value, 0).expect("it has room");
    map.pin(pins.0.join("v1").join(name)).expect("the BPF file system is there");
}

#[test]
fn services_and_connections_of_version_1_go_on() {
    if !require(&[Privilege::Bpf]) {
        return;
    }
    let pins = Pins(PathBuf::from(format!("/sys/fs/bpf/netlab-test-{}", std::process::id())));
    netlab::datapath::pins::prepare(&pins.0).expect("the BPF file system");
    fs::create_dir(pins.0.join("v1")).expect("a folder");
    let web = FrontendKey { addr: Addr::v4([0; 4]), port: [0x75, 0x80], proto: 6, reserved: 0 };
    let frontend = v1::Frontend { service: 7, backends: 1, ..Default::default() };
    pin(&pins, map::FRONTENDS, web, frontend);
    let slot = BackendKey { service: 7, slot: 0 };
    let pod = Addr::v4([10, 244, 1, 5]);
    let backend =
        v1::Backend { addr: pod, port: [0x1f, 0x90], flags: 1, id: 3, ..Default::default() };
    pin(&pins, map::BACKENDS, slot, backend);
    let flow = FlowKey { src: Addr::v4([192, 0, 2, 9]), dst: pod, proto: 6, ..FlowKey::default() };
    let to = FlowKey { dst: Addr::v4([172, 18, 0, 2]), ..flow };
    let entry = v1::CtEntry {
        to,
        last_seen: 11,
        created: 5,
        packets: 2,
        bytes: 80,
        service: 7,
        backend: 3,
        state: State::ESTABLISHED,
        direction: CtEntry::REPLY,
        flags: CtEntry::MASQUERADED,
        ..Default::default()
    };
    pin(&pins, map::CONNTRACK, flow, entry);

    let (_programs, mut maps) = load(Some(&pins.0), 1_024).expect("the programs load");
    assert_eq!(migrate::take_over(&pins.0, &mut maps).expect("it is understood"), Some(1));
    let present = tables::observe(&maps).expect("the maps are readable");
    let expected = Frontend { service: 7, backends: 1, ..Frontend::default() };
    assert_eq!(present.frontends.get(&web), Some(&expected));
    let expected = Backend { addr: pod, port: [0x1f, 0x90], flags: 1, id: 3, ..Backend::default() };
    assert_eq!(present.backends.get(&slot), Some(&expected));
    let expected = CtEntry {
        to,
        last_seen: 11,
        created: 5,
        packets: 2,
        bytes: 80,
        service: 7,
        backend: 3,
        state: State::ESTABLISHED,
        direction: CtEntry::REPLY,
        flags: CtEntry::MASQUERADED,
        ..CtEntry::default()
    };
    assert_eq!(maps.conntrack.get(&flow, 0).ok(), Some(expected));

    assert!(!pins.0.join("v1").exists());
    assert_eq!(migrate::take_over(&pins.0, &mut maps).expect("nothing is left"), None);
}
