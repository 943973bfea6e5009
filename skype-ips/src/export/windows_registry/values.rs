//! What Skype for Windows reads in the registry.
//!
//! Sources:
//!
//! - *Guide*: Skype, "Guide for Network Administrators" (for 3.0, 2006 and later editions; also the
//!   "IT Administrators Guide" for 4.2, 2010). It names the key, the values and their types, and
//!   that `HKEY_LOCAL_MACHINE` goes before everything else. Its list is also quoted at
//!   <https://cs.uwaterloo.ca/twiki/view/CF/SkypeConfiguration>. For the numbers it prints `{0,1}`
//!   even where that can't be meant (`ListenPort`): there the port itself is written.
//! - *In use*: the words of `ProxySetting` are those of registry files that people have published;
//!   the template `Skype-v1.7.adm` itself is not to be had any more. Only `HTTPS` and `SOCKS5` are
//!   attested, so no other word is written.

/// Where the values stand. It is not redirected for 32-bit programs: `Software\Policies` is shared
/// (Microsoft, "Registry Keys Affected by WOW64").
pub const KEY: &str = r"HKEY_LOCAL_MACHINE\Software\Policies\Skype\Phone";

/// A value's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// `REG_DWORD`.
    Number(u32),
    /// `REG_SZ`.
    Text(String),
}

/// Values that a policy of the gateway can speak of. All are from the *Guide*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// 1: no files are sent or received.
    DisableFileTransfer,
    /// 1: the client doesn't ask for its newest version.
    DisableVersionCheck,
    /// 1: presence is always shown on web pages; 0: never.
    WebStatus,
    /// The port on which the client listens, TCP and UDP.
    ListenPort,
    /// 0: the client doesn't listen on 80 and 443 as well.
    ListenHTTPPorts,
    /// 1: the client accepts no TCP connections.
    DisableTCPListen,
    /// 1: the client uses TCP alone.
    DisableUDP,
    /// 1: the client never becomes a super node.
    DisableSupernode,
    /// The kind of proxy: `HTTPS` or `SOCKS5`. The policy is called `ProxyPolicy` and its field
    /// `ProxyType` in the *Guide*; the value's name is this one.
    ProxySetting,
    /// The proxy, `host:port`.
    ProxyAddress,
}

impl Value {
    /// All, in the order of the file.
    pub const ALL: [Self; 10] = [
        Self::DisableFileTransfer,
        Self::DisableVersionCheck,
        Self::WebStatus,
        Self::ListenPort,
        Self::ListenHTTPPorts,
        Self::DisableTCPListen,
        Self::DisableUDP,
        Self::DisableSupernode,
        Self::ProxySetting,
        Self::ProxyAddress,
    ];

    /// Its name in the registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DisableFileTransfer => "DisableFileTransfer",
            Self::DisableVersionCheck => "DisableVersionCheck",
            Self::WebStatus => "WebStatus",
            Self::ListenPort => "ListenPort",
            Self::ListenHTTPPorts => "ListenHTTPPorts",
            Self::DisableTCPListen => "DisableTCPListen",
            Self::DisableUDP => "DisableUDP",
            Self::DisableSupernode => "DisableSupernode",
            Self::ProxySetting => "ProxySetting",
            Self::ProxyAddress => "ProxyAddress",
        }
    }
}

/// Values that only a host can obey, with what they do: nothing of them is on the wire. They are in
/// the file as comments.
pub const HOST_ONLY: [(&str, &str, &str); 7] = [
    (
        "DisableApi",
        "dword:00000001",
        "other programs can't use Skype",
    ),
    (
        "MemoryOnly",
        "dword:00000001",
        "Skype stores nothing on the disk",
    ),
    (
        "DisableContactImport",
        "dword:00000001",
        "contacts can't be imported",
    ),
    (
        "DisablePersonalise",
        "dword:00000001",
        "sounds can't be changed",
    ),
    (
        "DisableLanguageEdit",
        "dword:00000001",
        "the language can't be edited",
    ),
    (
        "ProxyUsername",
        "\"name\"",
        "the name with which Skype logs in to the proxy",
    ),
    (
        "ProxyPassword",
        "\"password\"",
        "its password, which every user of the computer can read here",
    ),
];
