//! The head of a packet, copied once into memory that the verifier lets us index freely.

use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_xdp_load_bytes};
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{TcContext, XdpContext};
use skype_ips_common::gate::Work;
use skype_ips_common::layout::Hook;
use skype_ips_common::parse::{HEAD_LEN, Packet, VLAN_BITS};

/// Room for one head and the gate's working memory.
///
/// Invariant: offsets into `bytes` up to `HEAD_LEN`, and four bytes on, lie inside.
#[repr(C)]
pub(crate) struct Scratch {
    bytes: [u8; HEAD_LEN as usize + 8],
    work: Work,
    word: u32,
    /// Never used. Older verifiers (Linux 6.1) forget that an offset was compared with `HEAD_LEN` where
    /// the compiler takes it from the stack once more, and count with the longest extension header
    /// (2048 bytes): what they think possible then lies inside as well.
    room: [u8; 4096],
}

/// One head per hook and CPU: a program isn't interrupted by one of the same hook.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(Hook::ALL.len() as u32, 0);

/// The gate's working memory for a hook, and a word for [`crate::tables::KernelTables`].
#[inline(always)]
pub(crate) fn work(hook: Hook) -> Option<(&'static mut Work, *mut u32)> {
    let scratch = SCRATCH.get_ptr_mut(hook as u32)?;
    // SAFETY: the slot is this CPU's and this hook's own, and each program asks for it once.
    Some(unsafe { (&mut (*scratch).work, &raw mut (*scratch).word) })
}

/// The head of the packet being judged.
pub(crate) struct Head {
    bytes: *const u8,
    loaded: u32,
    len: u32,
    segments: u32,
    vlan: u16,
}

impl Head {
    #[inline(always)]
    pub(crate) fn of_xdp(context: &XdpContext) -> Option<Self> {
        let len = (context.data_end() - context.data()) as u32;
        let scratch = SCRATCH.get_ptr_mut(Hook::Xdp as u32)?;
        let loaded = bounded(len)?;
        // SAFETY: `loaded` is at most HEAD_LEN, which the scratch memory holds.
        let result = unsafe { bpf_xdp_load_bytes(context.ctx, 0, scratch.cast(), loaded) };
        (result == 0).then_some(Self {
            bytes: scratch.cast(),
            loaded: opaque(loaded),
            len,
            segments: 1,
            vlan: 0,
        })
    }

    #[inline(always)]
    pub(crate) fn of_skb(context: &TcContext, hook: Hook) -> Option<Self> {
        let len = context.len();
        let scratch = SCRATCH.get_ptr_mut(hook as u32)?;
        let loaded = bounded(len)?;
        // The helper also reads what lies beyond the linear part (GRO).
        // SAFETY: `loaded` is at most HEAD_LEN, which the scratch memory holds.
        let result =
            unsafe { bpf_skb_load_bytes(context.skb.skb.cast(), 0, scratch.cast(), loaded) };
        // SAFETY: the context is valid; packets without offload have no count of segments.
        let (segments, has_tag, tag) = unsafe {
            let skb = context.skb.skb;
            ((*skb).gso_segs, (*skb).vlan_present, (*skb).vlan_tci)
        };
        (result == 0).then_some(Self {
            bytes: scratch.cast(),
            loaded: opaque(loaded),
            len,
            segments: if segments > 1 { segments } else { 1 },
            vlan: if has_tag != 0 {
                tag as u16 & VLAN_BITS
            } else {
                0
            },
        })
    }
}

/// Shorter frames hold no IP header. Not zero: for zero the compiler compares pointers, and the
/// verifier then misses that the length isn't.
const SHORTEST: u32 = 20;

/// How many bytes to copy, at most `HEAD_LEN`, in a form that the verifier follows.
#[inline(always)]
fn bounded(len: u32) -> Option<u32> {
    if len < SHORTEST {
        None
    } else if len > HEAD_LEN {
        Some(HEAD_LEN)
    } else {
        Some(len)
    }
}

/// The same number, of which the compiler no longer knows that it is at most `HEAD_LEN`: else it
/// leaves out the comparison of the offset alone, for the one of the offset's end, and older
/// verifiers (Linux 6.1) don't conclude from the end to its beginning.
#[inline(always)]
fn opaque(loaded: u32) -> u32 {
    // SAFETY: a valid, aligned, initialised local.
    unsafe { core::ptr::read_volatile(&raw const loaded) }
}

impl Packet for Head {
    #[inline(always)]
    fn len(&self) -> u32 {
        self.len
    }

    #[inline(always)]
    fn segments(&self) -> u32 {
        self.segments
    }

    #[inline(always)]
    fn vlan(&self) -> u16 {
        self.vlan
    }

    #[inline(always)]
    fn u16(&self, offset: u32) -> Option<u16> {
        if offset > HEAD_LEN || offset + 2 > self.loaded {
            return None;
        }
        // SAFETY: offset is at most HEAD_LEN, and the scratch memory goes on for 8 bytes.
        let bytes = unsafe { self.bytes.add(offset as usize).cast::<[u8; 2]>().read() };
        Some(u16::from_be_bytes(bytes))
    }

    #[inline(always)]
    fn u32(&self, offset: u32) -> Option<u32> {
        if offset > HEAD_LEN || offset + 4 > self.loaded {
            return None;
        }
        // SAFETY: offset is at most HEAD_LEN, and the scratch memory goes on for 8 bytes.
        let bytes = unsafe { self.bytes.add(offset as usize).cast::<[u8; 4]>().read() };
        Some(u32::from_be_bytes(bytes))
    }
}
