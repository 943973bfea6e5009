//! Mistakes in `[[policy]]`.

use super::*;

/// A file in which one policy's line 4 is `line`.
fn with_policy_line(line: &str) -> String {
    format!("version = 1\n[[policy]]\nname = \"a\"\n{line}\n")
}

/// Of line 4 of a policy that has a name only.
#[rustfmt::skip] // one mistake a line
const SUBNET_MISTAKES: &[Mistake] = &[
    ("subnets = []", 11, "no subnets", "subnets = [\"10.0.0.0/8\"]"),
    ("subnets = \"10.0.0.0/8\"", 11, "a list", "subnets = ["),
    ("subnets = [10]", 12, "a list of strings", "subnets = ["),
    ("subnets = [\"10.1.2.3/8\"]", 12, "bits set behind", "\"10.0.0.0/8\""),
    ("subnets = [\"10.0.0.0/40\"]", 12, "longer than 32", "/32"),
    ("subnets = [\"everyone\"]", 12, "`everyone` is no prefix", "10.0.0.0/8"),
    ("subnets = [\"@lab\"]", 12, "no group `lab`", "[groups]"),
    ("subnets = [\"::/0\", \"::/0\"]", 20, "this policy has ::/0 already", "once"),
];

/// Of line 4 of a policy that has a name and subnets.
#[rustfmt::skip] // one mistake a line
const POLICY_MISTAKES: &[Mistake] = &[
    ("default = \"dorp\"", 11, "no value of `default`", "\"drop\""),
    ("default = true", 11, "not a boolean", "default = \"drop\""),
    ("default = \"throttle\"", 11, "names no budget", "{ throttle = "),
    ("default = { throttle = \"slow\" }", 24, "no budget `slow`", "[[budget]]"),
    ("default = { throttle = [] }", 24, "names no budget", "throttle = "),
    ("default = { throttle = 4 }", 24, "a list", "throttle = "),
    ("default = { action = \"throttle\" }", 22, "names no budget", "throttle = "),
    ("default = { dscp = 46 }", 11, "says not what is done", "action = \"drop\""),
    ("default = { action = \"allow\", dscp = 64 }", 38, "out of range", "0 to 63"),
    ("default = { action = \"allow\", colour = 1 }", 31, "unknown key `colour`", "`dscp`"),
    ("default = { action = \"drop\", dscp = 46 }", 11, "for packets that pass", "let the packets pass"),
    ("default = { action = \"allow\", mark = 0 }", 38, "out of range", "1 to 4294967295"),
    ("default = { action = \"allow\", mark = 0x10000001 }", 38, "overlaps 0xf0000000", "other bits"),
    ("default = { action = \"allow\", mark = { value = 1, mask = 0xf0000001 } }", 38, "overlaps", "[marks]"),
    ("default = { action = \"allow\", mark = { value = 0x30, mask = 0x10 } }", 38, "outside the mask", "mask = 0x30"),
    ("default = { action = \"allow\", mark = { value = 1 } }", 38, "no `mask`", "mask = 0xff"),
    ("ambiguous = \"block\"", 13, "no value of `ambiguous`", "\"drop\""),
    ("ambiguous = \"reject\"", 13, "can't be rejected", "\"drop\""),
    ("ambiguous = \"throttle\"", 13, "can't be throttled", "\"alert\""),
    ("listening-port = \"throttle\"", 18, "can't be throttled", "\"reject\""),
    ("listening-port = { throttle = \"a\" }", 20, "can't be throttled", "\"reject\""),
    ("listening-port = { ports = [0] }", 29, "out of range", "1 to 65535"),
    ("listening-port = \"allow\"", 18, "only make it stricter", "stricter action"),
    ("udp = \"allow\"", 7, "only make it stricter", "stricter action"),
    ("only-via = []", 12, "names no proxy", "default = \"drop\""),
    ("only-via = { action = \"drop\" }", 12, "names no proxy", "proxies = ["),
    ("only-via = \"drop\"", 12, "a list of proxies", "only-via = ["),
    ("only-via = [\"proxy.example:1080\"]", 13, "no address with a port", "not looked up"),
    ("only-via = [\"10.9.0.1:0\"]", 13, "no address with a port", "10.9.0.1:1080"),
    ("only-via = [\"10.9.0.1:1\", \"10.9.0.1:1\"]", 27, "twice", "once"),
    ("relay = {}", 9, "is empty", "classes with actions"),
    ("relay = { file-transfr = \"drop\" }", 11, "unknown key `file-transfr`", "`file-transfer`"),
    ("relay = { voice = { default = \"drop\" } }", 21, "unknown key `default`", "belongs in"),
    ("super-node = { video = \"drop\" }", 24, "carries no video", "under `relay`"),
    ("voice = [\"drop\"]", 9, "one of", "voice = "),
    ("vlans = [0]", 10, "out of range", "1 to 4094"),
    ("vlans = [4095]", 10, "out of range", "1 to 4094"),
    ("vlans = []", 9, "no VLAN", "vlans = [10, 20]"),
    ("vlans = [7, 7]", 13, "VLAN 7 is named twice", "once"),
    ("interfaces = []", 14, "no interface", "interfaces = ["),
    ("interfaces = [\"eth1\"]", 15, "no file here says", "gateway's file"),
    ("exempt = [\"10.0.0.0/8\"]", 11, "is for 10.0.0.0/8 and exempts it", "remove one"),
    ("exempt = [\"192.0.2.1\"]", 11, "isn't for 192.0.2.1", "top of the file"),
    ("window = {}", 10, "two brackets", "[[policy.window]]"),
    ("window = [{ from = \"08:00\" }]", 11, "says not what is done", "default = "),
    ("window = [{ default = \"drop\", from = \"8:00\" }]", 38, "no time of day", "\"00:00\" to \"23:59\""),
    ("window = [{ default = \"drop\", from = \"24:00\" }]", 38, "out of range", "\"23:59\""),
    ("window = [{ default = \"drop\", to = \"00:00\" }]", 36, "out of range", "\"00:01\" to \"24:00\""),
    ("window = [{ default = \"drop\", to = \"17:60\" }]", 36, "out of range", "\"24:00\""),
    ("window = [{ default = \"drop\", days = [] }]", 38, "no day", "leave it out"),
    ("window = [{ default = \"drop\", days = [\"monday\"] }]", 39, "no value of `days`", "\"mon\""),
    ("mode = \"Enforce\"", 8, "no value of `mode`", "\"enforce\""),
    ("confidence = \"certain\"", 14, "no value", "\"strong\""),
    ("host-prefix-v6 = 64", 1, "unknown key `host-prefix-v6`", "top of the file"),
    ("host-timeout = \"1 h\"", 1, "unknown key `host-timeout`", "top of the file"),
    ("subnet = []", 1, "unknown key `subnet`", "`subnets`"),
    ("hook = \"tc\"", 1, "unknown key `hook`", "top of the file"),
];

#[test]
fn mistakes_in_policies_are_told_with_place_and_remedy() {
    for mistake in SUBNET_MISTAKES {
        assert_says(&with_policy_line(mistake.0), 4, mistake);
    }
    for mistake in POLICY_MISTAKES {
        let lines = format!("{}\nsubnets = [\"10.0.0.0/8\"]", mistake.0);
        assert_says(&with_policy_line(&lines), 4, mistake);
    }
}
