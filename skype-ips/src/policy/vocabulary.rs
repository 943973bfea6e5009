//! The words of the policy language, and their numbers in the kernel's tables.

use skype_ips_common::layout::{self, action};

use crate::toml_file::words;

words! {
    /// What kind of Skype traffic a flow carries.
    Class {
        /// Signing in, event and contact servers.
        Login = "login",
        /// Search, presence, call set-up, probing: everything between peers and super nodes.
        Signaling = "signaling",
        /// Voice.
        Voice = "voice",
        /// Video.
        Video = "video",
        /// File transfer.
        FileTransfer = "file-transfer",
        /// The client asking for its newest version.
        VersionCheck = "version-check",
        /// Presence shown on web pages.
        WebStatus = "web-status",
        /// Anything else of Skype.
        Other = "other",
    }
}

words! {
    /// What the inside host is in a session.
    Role {
        /// A user's program.
        Client = "client",
        /// A directory node that serves others.
        SuperNode = "super-node",
        /// Carries other people's traffic.
        Relay = "relay",
    }
}

words! {
    /// What is said of how Skype goes, whatever it carries.
    Restriction {
        /// Of TCP that the outside opens to where Skype listens.
        ListeningPort = "listening-port",
        /// Of Skype by UDP.
        Udp = "udp",
        /// Of Skype past the named proxies.
        OnlyVia = "only-via",
    }
}

words! {
    /// How sure a finding is.
    Confidence {
        /// Statistics only.
        Heuristic = "heuristic",
        /// Odds of chance at most 2^-20.
        Strong = "strong",
        /// Odds of chance at most 2^-32.
        Exact = "exact",
    }
}

words! {
    /// What is done, from the mildest to the strictest.
    Action {
        /// Let it pass.
        Allow = "allow",
        /// Let it pass and report it.
        Alert = "alert",
        /// Let pass what budgets have room for.
        Throttle = "throttle",
        /// Drop it, and tell the sender.
        Reject = "reject",
        /// Drop it.
        Drop = "drop",
    }
}

words! {
    /// What has a bucket of its own under a budget.
    Scope {
        /// Each flow.
        Flow = "flow",
        /// Each session: both legs of a relay's together, else the flow.
        Session = "session",
        /// Each inside host.
        Host = "host",
        /// Each prefix of a policy.
        Subnet = "subnet",
        /// Each policy.
        Policy = "policy",
    }
}

words! {
    /// Which packets a budget counts.
    Direction {
        /// Those towards inside hosts.
        In = "in",
        /// Those from inside hosts.
        Out = "out",
        /// Both together.
        Sum = "sum",
        /// Both, each with the whole budget.
        Each = "each",
    }
}

words! {
    /// Days of a window.
    Day {
        /// Monday.
        Monday = "mon",
        /// Tuesday.
        Tuesday = "tue",
        /// Wednesday.
        Wednesday = "wed",
        /// Thursday.
        Thursday = "thu",
        /// Friday.
        Friday = "fri",
        /// Saturday.
        Saturday = "sat",
        /// Sunday.
        Sunday = "sun",
    }
}

words! {
    /// Whether anything is really dropped.
    Mode {
        /// Report what would be done.
        Monitor = "monitor",
        /// Do it.
        Enforce = "enforce",
    }
}

impl Default for Mode {
    /// Nothing is enforced by surprise.
    fn default() -> Self {
        Self::Monitor
    }
}

words! {
    /// Which way an interface faces.
    InterfaceSide {
        /// Towards the hosts that policies are for.
        Inside = "inside",
        /// Towards the rest of the world.
        Outside = "outside",
    }
}

words! {
    /// Where in the kernel packets are classified.
    HookChoice {
        /// The best that each interface can do.
        Auto = "auto",
        /// XDP in the interface's driver.
        Xdp = "xdp",
        /// XDP in the kernel's generic form, for drivers that have none.
        XdpGeneric = "xdp-generic",
        /// Traffic control.
        Tc = "tc",
        /// Nowhere: firewall rules choose what is queued.
        Off = "off",
    }
}

words! {
    /// What happens to packets that can't be judged.
    OnFailure {
        /// They pass.
        Open = "open",
        /// They are dropped.
        Closed = "closed",
    }
}

words! {
    /// Whether connection tracking is used.
    ConntrackUse {
        /// Where it is in use already.
        Auto = "auto",
        /// Never.
        Off = "off",
    }
}

impl Class {
    /// The class's number in tables.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl Role {
    /// The role's number in tables.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl Confidence {
    /// The confidence's number in tables, from 1.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The least bits that give this confidence: the odds of chance are one in 2^bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Exact => 32,
            Self::Strong => 20,
            Self::Heuristic => 10,
        }
    }

    /// The confidence that odds of chance of one in 2^`bits` give; `None` under that of a
    /// heuristic.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits >= Self::Exact.bits() {
            Some(Self::Exact)
        } else if bits >= Self::Strong.bits() {
            Some(Self::Strong)
        } else if bits >= Self::Heuristic.bits() {
            Some(Self::Heuristic)
        } else {
            None
        }
    }
}

impl Action {
    /// The action's number in tables.
    pub const fn number(self) -> u8 {
        match self {
            Self::Allow => action::ALLOW,
            Self::Alert => action::ALERT,
            Self::Throttle => action::THROTTLE,
            Self::Reject => action::REJECT,
            Self::Drop => action::DROP,
        }
    }

    /// The action of a number in tables.
    pub const fn from_number(number: u8) -> Self {
        match number {
            action::ALLOW => Self::Allow,
            action::ALERT => Self::Alert,
            action::THROTTLE => Self::Throttle,
            action::REJECT => Self::Reject,
            _ => Self::Drop,
        }
    }

    /// Whether packets under it may be lost.
    pub const fn is_enforced(self) -> bool {
        matches!(self, Self::Throttle | Self::Reject | Self::Drop)
    }

    /// Whether no packet under it passes.
    pub const fn stops(self) -> bool {
        matches!(self, Self::Reject | Self::Drop)
    }
}

impl Scope {
    /// The scope's number in tables.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl Direction {
    /// The direction's number in tables.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

const _: () = {
    assert!(Class::ALL.len() == layout::CLASSES as usize);
    assert!(Role::ALL.len() == layout::ROLES as usize);
    assert!(Role::Client.number() == layout::CLIENT_ROLE);
    assert!(Role::SuperNode.number() == layout::SUPER_NODE_ROLE);
    assert!(Scope::Policy.number() == layout::scope::POLICY);
    assert!(Direction::Each.number() == layout::direction::EACH);
};
