//! What is known of a packet's flow, and what the policy does about it.

use super::{Tables, Work};
use crate::layout::{
    ActionEntry, CLIENT_ROLE, OTHER_CLASS, PolicyEntry, TCP, UDP, Verdict, kind, path, policy_flag,
};

/// That Skype listens where a policy says so.
const LISTENER: Verdict = Verdict {
    kind: kind::SKYPE,
    class: OTHER_CLASS,
    role: CLIENT_ROLE,
    confidence: 3,
    more: 0,
    more_request: 0,
    reserved: 0,
    session: 0,
    reserved2: 0,
};

/// What is known of the flow (`own`), else of its endpoint (all UDP of a Skype client leaves from one port,
/// and it listens there on TCP), which tells more than that the flow is ambiguous. Its `kind` is that
/// of neither Skype nor what is ambiguous where nothing is known.
#[inline(always)]
pub(super) fn known<T: Tables>(
    tables: &mut T,
    policy: PolicyEntry,
    work: &Work,
    own: Verdict,
    called: bool,
) -> Verdict {
    if own.kind == kind::SKYPE {
        return own;
    }
    // Connections that an inside host opens leave from any port; only those to it say whose it is.
    // Of these user space may have said that they are somebody else's.
    let to_listener = work.key.protocol == TCP && called && own.kind != kind::OTHER;
    if (work.key.protocol == UDP || to_listener)
        && let Some(endpoint) = tables.endpoint(&work.endpoint)
        && endpoint.kind == kind::SKYPE
    {
        return endpoint.of_flow(called);
    }
    let port = work.endpoint.port;
    if to_listener
        && policy.flags & policy_flag::PORTS != 0
        // Web servers listen there too: what comes is told by its first payload.
        && port != 80
        && port != 443
        && tables.is_port(policy.index, port)
    {
        return LISTENER;
    }
    own
}

/// What the policy does about it, on the flow's path.
#[inline(always)]
pub(super) fn action<T: Tables>(
    tables: &mut T,
    policy: PolicyEntry,
    work: &Work,
    known: &Verdict,
    called: bool,
) -> ActionEntry {
    if known.kind != kind::SKYPE && known.kind != kind::AMBIGUOUS {
        return ActionEntry::default();
    }
    let mut on = 0;
    if work.key.protocol == UDP {
        on |= path::UDP;
    } else if called {
        on |= path::CALLED;
    }
    if policy.flags & policy_flag::ONLY_VIA != 0
        && !tables.is_proxy(policy.index, &work.key.outside, work.key.outside_port)
    {
        on |= path::DIRECT;
    }
    tables.action(policy, known, on)
}
