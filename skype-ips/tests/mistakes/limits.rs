//! Too much of anything.

use super::*;

fn many_policies(count: u32) -> String {
    (0..count).fold("version = 1\n".to_owned(), |mut text, n| {
        let [_, _, high, low] = n.to_be_bytes();
        text += &format!("[[policy]]\nname = \"p{n}\"\nsubnets = [\"10.0.{high}.{low}\"]\n");
        text
    })
}

#[test]
fn the_1025th_policy_is_one_too_many_and_ten_thousand_are_one_problem() {
    assert!(parse(&many_policies(1024)).is_ok());
    for count in [1025, 10_000] {
        let problem = only_problem(&many_policies(count));
        assert_eq!(problem.at.place.line, 2 + 1024 * 3);
        assert!(problem.message.contains("1024"), "{problem:?}");
    }
}

#[test]
fn the_17th_window_is_one_too_many() {
    let window = "[[policy.window]]\nto = \"08:00\"\ndefault = \"drop\"\n";
    let text = |count: usize| {
        let head =
            "version = 1\ntimezone = \"UTC\"\n[[policy]]\nname = \"a\"\nsubnets = [\"::/0\"]\n";
        head.to_owned() + &window.repeat(count)
    };
    assert!(parse(&text(16)).is_ok());
    let problem = only_problem(&text(17));
    assert_eq!(problem.at.place.line, 6 + 16 * 3);
}

#[test]
fn more_prefixes_than_the_kernel_holds_are_refused_wherever_they_come_from() {
    let nets: Vec<_> = (0..200u32).map(|n| format!("\"10.0.{n}.0/24\"")).collect();
    let nets = nets.join(", ");
    let vlans: Vec<_> = (1..=100).map(|n: u32| n.to_string()).collect();
    let vlans = vlans.join(", ");
    let policy = format!("[[policy]]\nname = \"a\"\nsubnets = [{nets}]\nvlans = [{vlans}]\n");
    let exempt = format!("exempt = [{}]\n", nets.replace("10.0.", "10.1."));
    let small =
        format!("[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/8\"]\nvlans = [{vlans}]\n");
    for text in [
        format!("version = 1\n{policy}"),
        format!("version = 1\n{exempt}{small}"),
    ] {
        let problem = only_problem(&text);
        assert!(
            problem.message.contains("more than the 16384"),
            "{problem:?}"
        );
        assert!(problem.help.contains("fewer VLANs"), "{problem:?}");
    }
}

#[test]
fn a_file_of_100_mb_is_refused_unread() {
    let folder = folder(&[]);
    let file = fs::File::create(folder.path().join("huge.toml")).expect("a file");
    file.set_len(100_000_000).expect("a sparse file");
    let problems = load(&folder, &["huge.toml"]).expect_err("it is too large");
    assert!(
        problems.to_string().contains("larger than 1048576 bytes"),
        "{problems}"
    );
}

#[test]
fn every_kind_of_problem_is_reported_in_one_run() {
    let text = "version = 1\ntimezone = \"Nowhere\"\n[[budget]]\nname = \"b\"\nrate = \"0 KB/s\"\n\
                [[policy]]\nname = \"p\"\nsubnets = [\"10.0.0.0/8\"]\nrelay = { throttle = \"c\" }\n\
                vlans = [5000]\n[[policy.window]]\nfrom = \"09:00\"\nto = \"09:00\"\nudp = \"drop\"\n\
                [[policy]]\nname = \"q\"\nsubnets = [\"10.0.0.0/8\"]\n";
    let lines: Vec<_> = problems(text).iter().map(|one| one.at.place.line).collect();
    assert_eq!(lines, [2, 4, 5, 9, 10, 13, 17]);
}
