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
        /// Drop it.
        Drop = "drop",
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
            Self::Drop => action::DROP,
        }
    }
}

const _: () = {
    assert!(Class::ALL.len() == layout::CLASSES as usize);
    assert!(Role::ALL.len() == layout::ROLES as usize);
};
