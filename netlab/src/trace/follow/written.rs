//! Hooks and events as JSON.

use serde::{Serialize, Serializer};

use super::{
    super::event::{Event, Hook},
    journey::Flow,
};

pub(super) fn hook<S: Serializer>(hook: &Hook, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(hook.name())
}

pub(super) fn event<S: Serializer>(
    event: &Option<Event>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    event.as_ref().map(Written::from).serialize(serializer)
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Written<'a> {
    Forward { from: Flow, to: Flow, encap: Option<Encap>, decap: bool, past_stack: bool },
    Answer { answer: &'static str, to: Flow },
    Drop { reason: &'static str, explanation: &'static str, flow: Flow },
    KernelDrop { reason: &'a str, function: &'a str },
}

#[derive(Serialize)]
struct Encap {
    vni: u32,
    destination: String,
}

impl<'a> From<&'a Event> for Written<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Forward { from, to, encap, decap, past_stack, .. } => Self::Forward {
                from: Flow(*from),
                to: Flow(*to),
                encap: encap.map(|(vni, vtep)| Encap { vni, destination: vtep.to_string() }),
                decap: *decap,
                past_stack: *past_stack,
            },
            Event::Answer(answer, flow) => Self::Answer { answer: answer.name(), to: Flow(*flow) },
            Event::Drop(reason, flow) => Self::Drop {
                reason: reason.name(),
                explanation: reason.explanation().trim(),
                flow: Flow(*flow),
            },
            Event::KernelDrop { reason, function } => Self::KernelDrop { reason, function },
        }
    }
}
