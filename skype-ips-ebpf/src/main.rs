//! The kernel side: one classifier with three entry points (XDP, TC ingress, TC egress).
//!
//! Each copies the head of the packet, asks the gate, and passes the packet on with a code in its
//! mark, or drops it. XDP can't set a mark: its code travels as metadata in front of the packet,
//! and TC ingress turns it into the mark. Whatever comes to TC without a valid tag is classified
//! there.
#![no_std]
#![no_main]
// The compiler offers atomic compare-and-exchange for this target in no other way.
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "as above: intrinsics are not meant for programs otherwise"
)]
#![expect(
    missing_docs,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "what the program macros ask for: public functions that own their context"
)]

mod extras;
mod packet;
mod tables;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_xdp_adjust_meta};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use skype_ips_common::gate::{Outcome, Side, Work, judge};
use skype_ips_common::layout::{GateConfig, Hook, Interface, TAG_DSCP_SHIFT, TAG_MAGIC, Tag, flag};
use skype_ips_common::mark::Code;
use skype_ips_common::parse::{Link, network};

use crate::extras::{mark_of_operator, set_dscp};
use crate::packet::{Head, work};
use crate::tables::{KernelTables, config, interface};

/// Licence under which the kernel lends its helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
pub static LICENSE: [u8; 4] = *b"GPL\0";

/// Arriving packets, before the stack sees them.
#[xdp]
pub fn skype_ips_xdp(context: XdpContext) -> u32 {
    // SAFETY: the kernel hands a valid xdp_md to the program for the time of its run.
    let ifindex = unsafe { (*context.ctx).ingress_ifindex };
    let (Some(config), Some(interface)) = (config(), interface(ifindex)) else {
        return xdp_action::XDP_PASS;
    };
    // Devices take VLAN tags off before XDP sees the frame: where policies may ask for them, TC judges.
    if config.flags & flag::PLACES != 0 {
        return xdp_action::XDP_PASS;
    }
    // Before the packet is judged: where metadata is refused, TC must judge it, and only once.
    // SAFETY: the context is valid; the helper checks the head room itself.
    if unsafe { bpf_xdp_adjust_meta(context.ctx, -(size_of::<Tag>() as i32)) } != 0 {
        return xdp_action::XDP_PASS;
    }
    let Some(head) = Head::of_xdp(&context) else {
        return xdp_action::XDP_PASS;
    };
    let Some((work, word)) = work(Hook::Xdp) else {
        return xdp_action::XDP_PASS;
    };
    let side = ingress_side(interface);
    match classify(&head, side, interface, config, Hook::Xdp, work, word) {
        Outcome::Drop => {
            log(&context, "drop");
            xdp_action::XDP_DROP
        }
        Outcome::Pass(code) => {
            let (meta, data) = (context.metadata(), context.data());
            if meta + size_of::<Tag>() <= data {
                let entry = work.entry();
                let tag = Tag {
                    magic: TAG_MAGIC ^ config.nonce,
                    code: code.number() | u32::from(entry.dscp) << TAG_DSCP_SHIFT,
                    mark: entry.mark,
                    mark_mask: entry.mark_mask,
                };
                // SAFETY: the verifier saw that the whole tag lies between metadata and data.
                unsafe { *(meta as *mut Tag) = tag };
            }
            xdp_action::XDP_PASS
        }
    }
}

/// Arriving packets, with a socket buffer: takes XDP's word, or judges.
#[classifier]
pub fn skype_ips_ingress(context: TcContext) -> i32 {
    // SAFETY: the kernel hands a valid __sk_buff to the program for the time of its run.
    let ifindex = unsafe { (*context.skb.skb).ifindex };
    let (Some(config), Some(interface)) = (config(), interface(ifindex)) else {
        return TC_ACT_UNSPEC;
    };
    let hook = Hook::Ingress;
    let tagged = tag(&context, config);
    if let Some(tag) = tagged {
        mark(&context, config, Code::from_number(tag.code));
        mark_of_operator(&context, config, tag.mark, tag.mark_mask);
        if tag.code >> TAG_DSCP_SHIFT == 0 {
            return TC_ACT_UNSPEC;
        }
    }
    let Some(head) = Head::of_skb(&context, hook) else {
        return TC_ACT_UNSPEC;
    };
    if let Some(tag) = tagged {
        let dscp = (tag.code >> TAG_DSCP_SHIFT) as u8;
        if let Some(network) = network(&head, link(interface)) {
            set_dscp(&context, &head, network.offset, dscp);
        }
        return TC_ACT_UNSPEC;
    }
    let Some((work, word)) = work(hook) else {
        return TC_ACT_UNSPEC;
    };
    match classify(
        &head,
        ingress_side(interface),
        interface,
        config,
        hook,
        work,
        word,
    ) {
        Outcome::Drop => {
            log(&context, "drop");
            TC_ACT_SHOT
        }
        Outcome::Pass(code) => {
            mark(&context, config, code);
            apply(&context, &head, config, work);
            TC_ACT_UNSPEC
        }
    }
}

/// Packets that leave towards the inside: counted and enforced, free of NAT.
#[classifier]
pub fn skype_ips_egress(context: TcContext) -> i32 {
    // SAFETY: the kernel hands a valid __sk_buff to the program for the time of its run.
    let (ifindex, arrived_on) = unsafe {
        (
            (*context.skb.skb).ifindex,
            (*context.skb.skb).ingress_ifindex,
        )
    };
    let (Some(config), Some(interface)) = (config(), interface(ifindex)) else {
        return TC_ACT_UNSPEC;
    };
    // What the gateway itself sends is not judged, nor what this product made.
    if arrived_on == 0 || code_of(&context, config) == Code::Own {
        return TC_ACT_UNSPEC;
    }
    let Some(head) = Head::of_skb(&context, Hook::Egress) else {
        return TC_ACT_UNSPEC;
    };
    let Some((work, word)) = work(Hook::Egress) else {
        return TC_ACT_UNSPEC;
    };
    let side = Side::InsideEgress;
    match classify(&head, side, interface, config, Hook::Egress, work, word) {
        Outcome::Drop => {
            log(&context, "drop");
            TC_ACT_SHOT
        }
        Outcome::Pass(_) => {
            apply(&context, &head, config, work);
            TC_ACT_UNSPEC
        }
    }
}

/// Writes into a packet what its action asks for besides.
#[inline(always)]
fn apply(context: &TcContext, head: &Head, config: &GateConfig, work: &Work) {
    let entry = work.entry();
    mark_of_operator(context, config, entry.mark, entry.mark_mask);
    if entry.dscp != 0 {
        set_dscp(context, head, work.headers().ip_offset, entry.dscp);
    }
}

#[inline(always)]
fn link(interface: &Interface) -> Link {
    if interface.raw != 0 {
        Link::Raw
    } else {
        Link::Ethernet
    }
}

#[inline(always)]
fn ingress_side(interface: &Interface) -> Side {
    if interface.inside != 0 {
        Side::InsideIngress
    } else {
        Side::OutsideIngress
    }
}

#[inline(always)]
fn classify(
    head: &Head,
    side: Side,
    interface: &Interface,
    config: &GateConfig,
    hook: Hook,
    work: &mut Work,
    word: *mut u32,
) -> Outcome {
    // SAFETY: the helper takes no arguments and has no preconditions.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    judge(
        head,
        link(interface),
        side,
        interface.zone,
        interface.met,
        now,
        config,
        &mut KernelTables::new(hook, config, word),
        work,
    )
}

/// What XDP left in front of the packet, if it is this daemon's.
#[inline(always)]
fn tag(context: &TcContext, config: &GateConfig) -> Option<Tag> {
    // SAFETY: the context is valid; both fields are offsets that the verifier makes pointers of.
    let (meta, data) = unsafe {
        (
            (*context.skb.skb).data_meta as usize,
            (*context.skb.skb).data as usize,
        )
    };
    if meta + size_of::<Tag>() > data {
        return None;
    }
    // SAFETY: the verifier saw that the whole tag lies between metadata and data.
    let tag = unsafe { *(meta as *const Tag) };
    (tag.magic == TAG_MAGIC ^ config.nonce).then_some(tag)
}

#[inline(always)]
fn mark(context: &TcContext, config: &GateConfig, code: Code) {
    let bits = code.number() << config.mark_mask.trailing_zeros();
    // SAFETY: the context is valid and `mark` is writable in TC programs.
    unsafe {
        let skb = context.skb.skb;
        (*skb).mark = ((*skb).mark & !config.mark_mask) | (bits & config.mark_mask);
    }
}

#[inline(always)]
fn code_of(context: &TcContext, config: &GateConfig) -> Code {
    // SAFETY: the context is valid.
    let mark = unsafe { (*context.skb.skb).mark };
    Code::from_number((mark & config.mark_mask) >> config.mark_mask.trailing_zeros())
}

#[cfg(feature = "log")]
#[inline(always)]
fn log<C: aya_ebpf::EbpfContext>(context: &C, what: &str) {
    aya_log_ebpf::debug!(context, "{}", what);
}

#[cfg(not(feature = "log"))]
#[inline(always)]
fn log<C: aya_ebpf::EbpfContext>(_context: &C, _what: &str) {}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier proves that no path gets here; the compiler still wants a handler.
    loop {}
}
