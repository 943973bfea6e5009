//! What a policy has written into packets that pass: bits of the mark, and a code point.

use aya_ebpf::helpers::generated::{bpf_l3_csum_replace, bpf_skb_store_bytes};
use aya_ebpf::programs::TcContext;
use skype_ips_common::layout::{DSCP_SET, GateConfig};
use skype_ips_common::parse::Packet as _;

use crate::packet::Head;

/// Writes bits of the mark that are not ours.
#[inline(always)]
pub(crate) fn mark_of_operator(context: &TcContext, config: &GateConfig, bits: u32, mask: u32) {
    let mask = mask & !config.mark_mask;
    if mask == 0 {
        return;
    }
    // SAFETY: the context is valid and `mark` is writable in TC programs.
    unsafe {
        let skb = context.skb.skb;
        (*skb).mark = ((*skb).mark & !mask) | (bits & mask);
    }
}

/// BPF_F_RECOMPUTE_CSUM: the sum over the packet that a device has made follows the change.
const RECOMPUTE: u64 = 1;
/// Where the checksum stands in an IPv4 header.
const IPV4_CHECKSUM: u32 = 10;

/// Writes the code point (RFC 2474) that [`skype_ips_common::layout::ActionEntry::dscp`] says into the
/// IP header at `offset`.
#[inline(always)]
pub(crate) fn set_dscp(context: &TcContext, head: &Head, offset: u32, dscp: u8) {
    // Behind two tags at the most: said for the verifier.
    let offset = offset & 0x1f;
    let Some(old) = head.u16(offset) else {
        return;
    };
    let point = u16::from(dscp & (DSCP_SET - 1));
    let version = old >> 12;
    // The upper six bits of the traffic class, which IPv4 has in the second byte, IPv6 from the fifth
    // bit on.
    let new = match version {
        4 => old & 0xff03 | point << 2,
        6 => old & 0xf03f | point << 6,
        _ => return,
    };
    if new == old {
        return;
    }
    let skb = context.skb.skb;
    let mut flags = RECOMPUTE;
    if version == 4 {
        // The header's sum takes the change back, so the packet's stays as it was.
        flags = 0;
        let (from, to) = (u64::from(old.to_be()), u64::from(new.to_be()));
        // SAFETY: the context is valid; the helper checks the offset.
        unsafe { bpf_l3_csum_replace(skb, offset + IPV4_CHECKSUM, from, to, 2) };
    }
    let bytes = new.to_be_bytes();
    // SAFETY: as above; two bytes of a local are read.
    unsafe { bpf_skb_store_bytes(skb, offset, bytes.as_ptr().cast(), 2, flags) };
}
