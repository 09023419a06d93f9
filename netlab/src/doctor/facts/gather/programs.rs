//! eBPF programs at interfaces, and filters of tc.

use std::io;

use aya_obj::generated::bpf_attach_type::{BPF_TCX_EGRESS, BPF_TCX_INGRESS};
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionOption, TcActionType, TcAttribute, TcFilterBpfOption,
    TcFilterFlowerOption, TcFilterMatchAllOption, TcFilterU32Option, TcMessage, TcOption,
};
use nix::errno::Errno;

use super::{
    super::{
        Source,
        link::Link,
        program::{Attach, Owner, Program, TcFilter},
    },
    gaps::Gaps,
};
use crate::{
    bpf, datapath,
    netlink::{self, Connection},
};

/// What a capture's programs are called, as far as the kernel keeps names: 15 octets.
const CAPTURE: &str = "capture_";

const HIDES: &str = "Programs of others that drop or change packets at interfaces are not seen.";

/// XDP and tcx programs of the calling thread's namespace.
pub(super) fn read(links: &[Link], gaps: &mut Gaps) -> Vec<Program> {
    let mut programs = Vec::new();
    let mut refusal = None;
    for link in links {
        programs.extend(link.xdp.iter().map(|id| program(link, Attach::Xdp, *id)));
        for (attach, number) in
            [(Attach::TcxIngress, BPF_TCX_INGRESS), (Attach::TcxEgress, BPF_TCX_EGRESS)]
        {
            match bpf::programs_at(link.index, number) {
                Ok(ids) => programs.extend(ids.iter().map(|id| program(link, attach, *id))),
                Err(error) if is_absent(&error) => {}
                Err(error) => refusal = Some(error),
            }
        }
    }
    if let Some(error) = refusal {
        gaps.note(Source::Programs, format!("bpf(2) refuses: {error}"), HIDES);
    }
    programs
}

/// Of a kernel without tcx, and of a link that is gone.
fn is_absent(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EINVAL | Errno::ENODEV | Errno::ENOENT))
}

fn program(link: &Link, attach: Attach, id: u32) -> Program {
    let (name, tag) = bpf::describe(id).map_or_else(
        |_| (String::new(), String::new()),
        |(name, tag)| (name, tag.iter().map(|byte| format!("{byte:02x}")).collect()),
    );
    let owner = owner(&name);
    let by = (owner == Owner::Foreign).then(|| bpf::link_of(id, link.index)).flatten();
    Program { interface: link.name.clone(), attach, id, name, tag, owner, link: by }
}

fn owner(name: &str) -> Owner {
    if name.starts_with(datapath::load::program::PREFIX) {
        Owner::Datapath
    } else if name.starts_with(CAPTURE) {
        Owner::Capture
    } else {
        Owner::Foreign
    }
}

/// Filters at clsact and ingress: eBPF programs, and others.
pub(super) async fn filters(
    connection: &Connection,
    links: &[Link],
) -> netlink::Result<(Vec<Program>, Vec<TcFilter>)> {
    let (mut programs, mut filters) = (Vec::new(), Vec::new());
    let qdiscs = connection.qdisc_messages().await?;
    for link in links {
        let kind = qdiscs.iter().find_map(|qdisc| {
            let own = u32::try_from(qdisc.header.index).is_ok_and(|index| index == link.index);
            kind(qdisc).filter(|kind| own && matches!(*kind, "clsact" | "ingress"))
        });
        let Some(kind) = kind else { continue };
        for ingress in [true, false] {
            // An ingress qdisc has no egress, and the kernel would answer with the root's.
            if !ingress && kind == "ingress" {
                continue;
            }
            for message in connection.filter_messages(link.index, ingress).await? {
                match bpf_id(&message) {
                    Some(id) => {
                        let attach =
                            if ingress { Attach::ClsactIngress } else { Attach::ClsactEgress };
                        programs.push(program(link, attach, id));
                    }
                    None => filters.extend(filter(link, ingress, &message)),
                }
            }
        }
    }
    Ok((programs, filters))
}

fn kind(message: &TcMessage) -> Option<&str> {
    message.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    })
}

fn options(message: &TcMessage) -> impl Iterator<Item = &TcOption> {
    message.attributes.iter().flat_map(|attribute| match attribute {
        TcAttribute::Options(options) => options.as_slice(),
        _ => &[],
    })
}

fn bpf_id(message: &TcMessage) -> Option<u32> {
    options(message).find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
        _ => None,
    })
}

/// A filter that does something; the kernel also lists the tables that u32 keeps.
fn filter(link: &Link, ingress: bool, message: &TcMessage) -> Option<TcFilter> {
    let handle = u32::from(message.header.handle);
    if handle == 0 {
        return None;
    }
    // TC_H_MAKE(preference, ethertype in the order of the wire), linux/pkt_sched.h.
    let [high, low] = [message.header.info >> 16, message.header.info & 0xffff];
    let half = |number: u32| u16::try_from(number).unwrap_or(0);
    Some(TcFilter {
        interface: link.name.clone(),
        ingress,
        kind: kind(message)?.to_owned(),
        preference: half(high),
        handle,
        protocol: u16::from_be(half(low)),
        action: options(message).find_map(|option| match option {
            TcOption::MatchAll(TcFilterMatchAllOption::Action(actions))
            | TcOption::U32(TcFilterU32Option::Action(actions))
            | TcOption::Flower(TcFilterFlowerOption::Actions(actions)) => action(actions),
            _ => None,
        }),
    })
}

/// What the first action does.
fn action(actions: &[TcAction]) -> Option<String> {
    let attributes = &actions.first()?.attributes;
    let kind = attributes.iter().find_map(|attribute| match attribute {
        TcActionAttribute::Kind(kind) => Some(kind.clone()),
        _ => None,
    })?;
    if kind != "gact" {
        return Some(kind);
    }
    let verdict = attributes.iter().find_map(|attribute| match attribute {
        TcActionAttribute::Options(options) => options.iter().find_map(|option| match option {
            TcActionOption::Other(parameters) => gact(parameters),
            _ => None,
        }),
        _ => None,
    });
    Some(verdict.unwrap_or(kind))
}

/// TCA_GACT_PARMS (linux/tc_act/tc_gact.h): struct tc_gact, whose third number is the verdict.
fn gact(parameters: &rtnetlink::packet_core::DefaultNla) -> Option<String> {
    use rtnetlink::packet_core::Nla as _;
    const PARAMETERS: u16 = 2;
    if parameters.kind() != PARAMETERS {
        return None;
    }
    let mut bytes = vec![0; parameters.value_len()];
    parameters.emit_value(&mut bytes);
    let number = i32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
    Some(match TcActionType::from(number) {
        TcActionType::Shot => "drop".to_owned(),
        TcActionType::Ok => "pass".to_owned(),
        TcActionType::Pipe => "pipe".to_owned(),
        TcActionType::Stolen => "stolen".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_belongs_to_whom_its_name_says() {
        assert_eq!(owner("netlab_tc_ingre"), Owner::Datapath);
        assert_eq!(owner("capture_xdp_in"), Owner::Capture);
        assert_eq!(owner("cil_from_netdev"), Owner::Foreign);
        assert_eq!(owner(""), Owner::Foreign);
    }
}
