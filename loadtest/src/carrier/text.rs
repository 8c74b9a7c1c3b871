//! Just enough of SIP's text form for a peer: header lines as they came, and responses that echo
//! them (RFC 3261 §8.2.6).

/// One message, borrowed from the datagram.
pub struct Message<'a> {
    start: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    pub body: &'a str,
}

impl<'a> Message<'a> {
    /// Splits a message into its parts; `None` if it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Message<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        Some(Message { start, headers, body })
    }

    /// The first header of that name, or an empty string.
    pub fn header(&self, name: &str) -> &'a str {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    /// Of a request.
    pub fn method(&self) -> Option<&'a str> {
        (!self.start.starts_with("SIP/2.0")).then(|| self.start.split(' ').next()).flatten()
    }

    /// Of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// User part of the request-URI.
    pub fn request_user(&self) -> &'a str {
        let uri = self.start.split(' ').nth(1).unwrap_or("");
        let uri = uri.split_once(':').map_or(uri, |(_, rest)| rest);
        uri.split(['@', ';']).next().unwrap_or("")
    }

    /// Prints a response to this request. `to_tag` and `contact` may be empty; `body` is SDP.
    pub fn response(
        &self,
        status: u16,
        phrase: &str,
        to_tag: &str,
        contact: &str,
        body: &str,
    ) -> String {
        let mut text = format!("SIP/2.0 {status} {phrase}\r\n");
        for (name, value) in &self.headers {
            if ["Via", "v", "Record-Route"].iter().any(|n| n.eq_ignore_ascii_case(name)) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        let to = self.header("To");
        let tag = if to_tag.is_empty() || to.contains("tag=") {
            String::new()
        } else {
            format!(";tag={to_tag}")
        };
        text += &format!("From: {}\r\nTo: {to}{tag}\r\n", self.header("From"));
        text +=
            &format!("Call-ID: {}\r\nCSeq: {}\r\n", self.header("Call-ID"), self.header("CSeq"));
        if !contact.is_empty() {
            text += &format!("Contact: <{contact}>\r\n");
        }
        if !body.is_empty() {
            text += "Content-Type: application/sdp\r\n";
        }
        text + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// The URI inside `<…>` of a Contact or the bare one.
pub fn uri(value: &str) -> &str {
    value.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(value, |(uri, _)| uri)
}
