//! Requests to a router to map a port, by UPnP: AddPortMapping of the services WANIPConnection and
//! WANPPPConnection (UPnP Forum), SOAP in an HTTP POST to whatever port the router names.

use std::net::IpAddr;
use std::ops::Range;

use skype_ips_common::layout::{TCP, UDP};

use super::mapping::Request;

/// How a request begins; the blank keeps other methods out.
pub const METHOD: &[u8] = b"POST ";
/// The action, as the header SOAPAction names it behind the service.
const ACTION: &str = "#AddPortMapping";
/// Most header lines that are read; requests to routers have about eight.
const MOST_HEADERS: usize = 48;

/// What the head of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Post {
    /// Not a POST.
    No,
    /// One that asks for something else, or for another host's port.
    Other,
    /// It may become a request to map a port.
    Short,
    /// One; [`Request::place`] is where the port stands in the stream.
    Mapping(Request),
}

/// Reads what the inside host `client` says, as far as it is at hand.
pub fn read(stream: &[u8], client: IpAddr) -> Post {
    if !stream.starts_with(METHOD) {
        return Post::No;
    }
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let body = match request.parse(stream) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Post::Short,
        Err(_) => return Post::Other,
    };
    let is_action = |header: &httparse::Header<'_>| {
        let value = std::str::from_utf8(header.value).unwrap_or_default();
        header.name.eq_ignore_ascii_case("soapaction") && value.trim_matches('"').ends_with(ACTION)
    };
    if !request.headers.iter().any(is_action) {
        return Post::Other;
    }
    // The lease comes last of what is read.
    let text = |name| element(stream, body, name);
    let (Some(port), Some(protocol), Some(asker), Some(lease)) = (
        text("NewInternalPort"),
        text("NewProtocol"),
        text("NewInternalClient"),
        text("NewLeaseDuration"),
    ) else {
        return Post::Short;
    };
    let place = port.start as u32..port.end as u32;
    let of = |range: Range<usize>| {
        std::str::from_utf8(&stream[range])
            .unwrap_or_default()
            .trim()
    };
    let protocol = match of(protocol) {
        "UDP" => UDP,
        "TCP" => TCP,
        _ => return Post::Other,
    };
    let (Ok(port), Ok(lifetime)) = (of(port).parse(), of(lease).parse()) else {
        return Post::Other;
    };
    if port == 0 || of(asker).parse() != Ok(client) {
        return Post::Other;
    }
    Post::Mapping(Request {
        protocol,
        port,
        // A lease without an end is written as 0.
        lifetime: if lifetime == 0 { u32::MAX } else { lifetime },
        language: "UPnP",
        place,
    })
}

/// Where the text of the first element of this name stands, if all of it is at hand.
fn element(stream: &[u8], from: usize, name: &str) -> Option<Range<usize>> {
    let find = |from: usize, what: &[u8]| {
        let mut windows = stream.get(from..)?.windows(what.len());
        Some(from + windows.position(|window| window == what)?)
    };
    let open = find(from, format!("<{name}").as_bytes())?;
    let start = find(open, b">")? + 1;
    let end = find(start, b"<")?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 7, 20));

    fn request(client: &str, protocol: &str, port: &str, lease: &str) -> String {
        let body = format!(
            "<?xml version=\"1.0\"?><s:Envelope><s:Body><u:AddPortMapping>\
             <NewRemoteHost></NewRemoteHost><NewExternalPort>13021</NewExternalPort>\
             <NewProtocol>{protocol}</NewProtocol>\
             <NewInternalPort xmlns:dt=\"urn:x\" dt:dt=\"ui2\">{port}</NewInternalPort>\
             <NewInternalClient>{client}</NewInternalClient><NewEnabled>1</NewEnabled>\
             <NewPortMappingDescription>a program</NewPortMappingDescription>\
             <NewLeaseDuration>{lease}</NewLeaseDuration></u:AddPortMapping>"
        );
        format!(
            "POST /ctl/IPConn HTTP/1.1\r\nHost: 192.168.7.1:5000\r\nSoapAction: \
             \"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping\"\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn a_request_names_its_port_and_where_it_stands() {
        let stream = request("192.168.7.20", "UDP", "13021", "3600");
        let Post::Mapping(found) = read(stream.as_bytes(), CLIENT) else {
            panic!("{:?}", read(stream.as_bytes(), CLIENT));
        };
        assert_eq!(
            (found.protocol, found.port, found.lifetime),
            (UDP, 13_021, 3600)
        );
        let place = found.place.start as usize..found.place.end as usize;
        assert_eq!(&stream[place.clone()], "13021");
        assert!(stream[..place.start].ends_with("dt:dt=\"ui2\">"));
        let endless = request("192.168.7.20", "TCP", "13021", "0");
        let Post::Mapping(endless) = read(endless.as_bytes(), CLIENT) else {
            panic!("a request without an end");
        };
        assert_eq!((endless.protocol, endless.lifetime), (TCP, u32::MAX));
    }

    #[test]
    fn other_requests_are_let_alone() {
        let good = request("192.168.7.20", "UDP", "13021", "3600");
        let other = good.replace("#AddPortMapping", "#GetExternalIPAddress");
        for text in [
            other,
            request("192.168.7.21", "UDP", "13021", "3600"),
            request("192.168.7.20", "SCTP", "13021", "3600"),
            request("192.168.7.20", "UDP", "0", "3600"),
            request("192.168.7.20", "UDP", "70000", "3600"),
        ] {
            assert_eq!(read(text.as_bytes(), CLIENT), Post::Other, "{text}");
        }
        assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n", CLIENT), Post::No);
        assert_eq!(read(b"POSTER", CLIENT), Post::No);
    }

    proptest! {
        #[test]
        fn every_beginning_waits(end in 5usize..700) {
            let stream = request("192.168.7.20", "UDP", "13021", "3600");
            let lease = stream.find("</NewLeaseDuration").expect("it is there");
            let end = end.min(lease);
            prop_assert_eq!(read(&stream.as_bytes()[..end], CLIENT), Post::Short);
        }

        #[test]
        fn garbage_is_survived(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&[METHOD, &tail[..]].concat(), CLIENT);
        }
    }
}
