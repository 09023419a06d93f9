//! Chains of nftables, statement by statement (nft(8)).

use std::net::SocketAddr;

use serde_json::Value;

use super::{
    Adds, Flow, KEEP_POLICY, Nat, Place, Run, SourcePorts,
    value::{Datum, is_in, number, value},
};
use crate::doctor::facts::{
    Source,
    nft::{Chain, Rule, Table, port},
};

pub(super) fn base(table: &Table, chain: &Chain, run: &mut Run<'_>) -> Flow {
    let end = walk(table, chain, run);
    if !matches!(end, Flow::Next | Flow::Return) {
        return end;
    }
    let policy = chain.hook.as_ref().map_or("accept", |hook| hook.policy.as_str());
    if policy != "drop" {
        return Flow::Accept;
    }
    let (family, name) = (&table.family, &table.name);
    let place = Place {
        chain: place_of(table, chain),
        rule: "policy drop".into(),
        mend: Vec::new(),
        mend_words: KEEP_POLICY,
        store: Source::Nft,
        // After a return no rule is asked any more.
        adds: matches!(end, Flow::Next).then(|| Adds {
            command: ["nft", "add", "rule", family, name, &chain.name].map(str::to_owned).into(),
            nft: true,
            families: (family != "ip6", family != "ip"),
        }),
    };
    run.stop_by_policy(place)
}

fn place_of(table: &Table, chain: &Chain) -> String {
    format!("table {} {} chain {}", table.family, table.name, chain.name)
}

fn place(table: &Table, chain: &Chain, rule: &Rule) -> Place {
    let handle = rule.handle.to_string();
    let words =
        ["nft", "delete", "rule", &table.family, &table.name, &chain.name, "handle", &handle];
    Place {
        chain: place_of(table, chain),
        rule: format!("{} # handle {handle}", uncounted(&rule.text)),
        mend: words.into_iter().map(str::to_owned).collect(),
        mend_words: "Delete the rule.",
        store: Source::Nft,
        adds: None,
    }
}

fn walk(table: &Table, chain: &Chain, run: &mut Run<'_>) -> Flow {
    run.chain(&chain.rules, |rule, run| statements(table, chain, rule, run))
}

fn statements(table: &Table, chain: &Chain, rule: &Rule, run: &mut Run<'_>) -> Flow {
    for statement in &rule.statements {
        match step(table, chain, rule, statement, run) {
            Step::On => {}
            Step::NextRule => return Flow::Next,
            Step::End(flow) => return flow,
            Step::Unknown => {
                if may_accept(rule) {
                    run.sure = false;
                }
                return Flow::Next;
            }
        }
    }
    Flow::Next
}

/// Whether the rest of a rule may let a packet through that later rules would not.
fn may_accept(rule: &Rule) -> bool {
    !matches!(verdict(rule), Some("drop" | "reject")) && decides(rule)
}

/// Whether a rule does more than to count and to write.
fn decides(rule: &Rule) -> bool {
    !matches!(verdict(rule), Some("counter" | "log" | "comment"))
}

/// The name of a rule's last statement.
fn verdict(rule: &Rule) -> Option<&str> {
    let statement = rule.statements.last().and_then(Value::as_object)?;
    statement.keys().next().map(String::as_str)
}

enum Step {
    /// The next statement.
    On,
    /// The rule is not met, or ends without a verdict.
    NextRule,
    End(Flow),
    Unknown,
}

fn step(table: &Table, chain: &Chain, rule: &Rule, statement: &Value, run: &mut Run<'_>) -> Step {
    let Some((name, of)) = statement.as_object().and_then(|of| of.iter().next()) else {
        return Step::Unknown;
    };
    match name.as_str() {
        "match" => matched(table, of, run),
        "counter" | "log" | "comment" | "notrack" | "ct helper" | "ct timeout" => Step::On,
        "limit" | "quota" | "ct count" => limited(rule, of, run),
        "meter" | "set" => inner(of).fold(Step::On, |step, of| match step {
            Step::On => limited(rule, of, run),
            end => end,
        }),
        "accept" => Step::End(Flow::Accept),
        "return" => Step::End(Flow::Return),
        "continue" => Step::NextRule,
        "drop" | "reject" => Step::End(run.stop(place(table, chain, rule), name == "reject")),
        "jump" | "goto" => go(table, name, of, run),
        "vmap" => vmap(table, chain, rule, of, run),
        "mangle" => {
            mangle(of, run, || place(table, chain, rule));
            Step::On
        }
        "dnat" => translated(of, run, Nat::Destination),
        "snat" | "masquerade" => {
            run.source_ports = ports(of).map(|(low, high)| {
                let place = place(table, chain, rule);
                SourcePorts { low, high, place }
            });
            match name.as_str() {
                "snat" => translated(of, run, Nat::Source),
                _ => end_with(run, Nat::Masquerade),
            }
        }
        "redirect" => {
            run.redirect = Some(place(table, chain, rule));
            end_with(run, Nat::Redirect(of.get("port").and_then(port)))
        }
        _ => Step::Unknown,
    }
}

/// How often, how much or how many: a first packet is under any limit, if others leave room for it.
/// Nobody can say that they do, so what the rule decides then is not sure.
fn limited(rule: &Rule, of: &Value, run: &mut Run<'_>) -> Step {
    let is_over = of.get("inv").and_then(Value::as_bool) == Some(true);
    if is_over || of.is_string() {
        // A limit with a name of its own does not say here which of both it is.
        run.sure &= !may_accept(rule);
        return Step::NextRule;
    }
    run.sure &= !decides(rule);
    Step::On
}

/// The limits that a statement has for each element of its set.
fn inner(of: &Value) -> impl Iterator<Item = &Value> {
    let statements = match of.get("stmt") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    statements
        .iter()
        .filter_map(|of| of.get("limit").or_else(|| of.get("quota")).or_else(|| of.get("ct count")))
}

fn matched(table: &Table, of: &Value, run: &mut Run<'_>) -> Step {
    let (Some(left), Some(right)) = (of.get("left"), of.get("right")) else {
        return Step::Unknown;
    };
    let Some(datum) = value(left, &run.view) else { return Step::Unknown };
    let operator = of.get("op").and_then(Value::as_str).unwrap_or("==");
    let met = match operator {
        "==" | "in" => is_in(&datum, right, table, &run.view),
        "!=" => is_in(&datum, right, table, &run.view).map(|met| !met),
        _ => compared(&datum, operator, right, run),
    };
    match met {
        Some(true) => {
            if let (Datum::Address(address), false) = (&datum, operator == "!=") {
                let is_single = right.get("prefix").is_none() && right.get("range").is_none();
                if is_single && run.is_own_address(*address) {
                    run.named.address = true;
                }
            }
            run.named.port |= operator != "!=" && has_field(left, "dport");
            run.named.other_sources |= operator == "!=" && has_field(left, "saddr");
            Step::On
        }
        Some(false) => Step::NextRule,
        None => Step::Unknown,
    }
}

/// Whether an expression is a field of a header, or has it among others.
fn has_field(expression: &Value, field: &str) -> bool {
    let is_it = |of: &Value| of.pointer("/payload/field").and_then(Value::as_str) == Some(field);
    let parts = expression.get("concat").and_then(Value::as_array);
    is_it(expression) || parts.is_some_and(|parts| parts.iter().any(is_it))
}

/// The ports of a statement of NAT: one, or from one to another.
fn ports(of: &Value) -> Option<(u16, u16)> {
    let of = of.get("port")?;
    match of.get("range") {
        Some(range) => Some((port(range.get(0)?)?, port(range.get(1)?)?)),
        None => port(of).map(|port| (port, port)),
    }
}

fn compared(datum: &Datum, operator: &str, right: &Value, run: &Run<'_>) -> Option<bool> {
    let (Datum::Number(own), other) = (datum, number(right, &run.view)?) else { return None };
    Some(match operator {
        "<" => *own < other,
        "<=" => *own <= other,
        ">" => *own > other,
        ">=" => *own >= other,
        _ => return None,
    })
}

fn go(table: &Table, how: &str, of: &Value, run: &mut Run<'_>) -> Step {
    let target = of.get("target").and_then(Value::as_str);
    let Some(chain) = target.and_then(|name| table.chain(name)) else { return Step::Unknown };
    match (walk(table, chain, run), how) {
        (Flow::Next | Flow::Return, "jump") => Step::On,
        // The chain that it was left from is not returned to.
        (Flow::Next | Flow::Return, _) => Step::End(Flow::Return),
        (end, _) => Step::End(end),
    }
}

fn vmap(table: &Table, chain: &Chain, rule: &Rule, of: &Value, run: &mut Run<'_>) -> Step {
    let (Some(key), Some(data)) = (of.get("key"), of.get("data")) else { return Step::Unknown };
    let elements: &[Value] = match data.as_str().and_then(|name| name.strip_prefix('@')) {
        Some(name) => match table.set(name) {
            Some(set) => &set.elements,
            None => return Step::Unknown,
        },
        None => match data.get("set").and_then(Value::as_array) {
            Some(elements) => elements,
            None => return Step::Unknown,
        },
    };
    let verdicts = elements.iter().filter_map(|element| Some((element.get(0)?, element.get(1)?)));
    if key.get("numgen").is_some() || key.get("jhash").is_some() || key.get("symhash").is_some() {
        return drawn(table, chain, rule, verdicts.map(|(_, verdict)| verdict).collect(), run);
    }
    let Some(datum) = value(key, &run.view) else { return Step::Unknown };
    let key_has_port = has_field(key, "dport");
    for (key, verdict) in verdicts {
        if is_in(&datum, key, table, &run.view) == Some(true) {
            run.named.port |= key_has_port;
            return step(table, chain, rule, verdict, run);
        }
    }
    Step::NextRule
}

/// A random choice falls where it is wished to, and where it cannot, on the first.
fn drawn(
    table: &Table,
    chain: &Chain,
    rule: &Rule,
    verdicts: Vec<&Value>,
    run: &mut Run<'_>,
) -> Step {
    let mut first = None;
    for verdict in verdicts {
        let mut tried = run.clone();
        let end = step(table, chain, rule, verdict, &mut tried);
        let is_wished =
            tried.view.wish.is_some_and(|wish| tried.nat == Some(Nat::Destination(wish)));
        if is_wished {
            *run = tried;
            return end;
        }
        first.get_or_insert((tried, end));
    }
    match first {
        Some((tried, end)) => {
            *run = tried;
            end
        }
        None => Step::NextRule,
    }
}

fn mangle(of: &Value, run: &mut Run<'_>, place: impl FnOnce() -> Place) {
    let (Some(key), Some(to)) = (of.get("key"), of.get("value")) else { return };
    if key.pointer("/meta/key").and_then(Value::as_str) == Some("mark") {
        let mark = number(to, &run.view).and_then(|mark| u32::try_from(mark).ok());
        match mark {
            Some(mark) => run.mark(mark, place),
            None => run.sure = false,
        }
    } else if is_udp_checksum(key) && run.view.packet.protocol == crate::doctor::path::packet::UDP {
        run.spoilt = Some(place());
    }
}

/// By name, or as the bits of the transport header where RFC 768 has it.
fn is_udp_checksum(key: &Value) -> bool {
    let Some(payload) = key.get("payload") else { return false };
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    let bits = |name: &str| payload.get(name).and_then(Value::as_u64);
    (text("protocol") == Some("udp") && text("field") == Some("checksum"))
        || (text("base") == Some("th") && bits("offset") == Some(48) && bits("len") == Some(16))
}

fn translated(of: &Value, run: &mut Run<'_>, nat: fn(SocketAddr) -> Nat) -> Step {
    let is_source = nat(run.view.packet.source) == Nat::Source(run.view.packet.source);
    let own = if is_source { run.view.packet.source } else { run.view.packet.destination };
    let address = match of.get("addr") {
        Some(address) => match value(address, &run.view) {
            Some(Datum::Address(address)) => address,
            _ => return Step::Unknown,
        },
        None => own.ip(),
    };
    let port = of.get("port").and_then(port).unwrap_or(own.port());
    end_with(run, nat(SocketAddr::new(address, port)))
}

fn end_with(run: &mut Run<'_>, nat: Nat) -> Step {
    run.nat = Some(nat);
    Step::End(Flow::Accept)
}

/// A rule without what it has counted: that was read before anything was sent, and would have it
/// look as if it had met no packet.
fn uncounted(text: &str) -> String {
    let mut words = text.split(' ');
    let mut plain: Vec<&str> = Vec::new();
    while let Some(word) = words.next() {
        if word == "packets" && plain.last() == Some(&"counter") {
            // The number, `bytes`, and their number.
            words.by_ref().take(3).for_each(drop);
        } else {
            plain.push(word);
        }
    }
    plain.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_has_counted_is_left_out_and_nothing_else() {
        let text = "tcp dport 30080 counter packets 3 bytes 180 drop comment \"lost packets 3\"";
        let plain = "tcp dport 30080 counter drop comment \"lost packets 3\"";
        assert_eq!(uncounted(text), plain);
        assert_eq!(uncounted(plain), plain);
    }
}
