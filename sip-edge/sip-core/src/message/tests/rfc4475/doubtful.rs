//! RFC 4475 §3.1.2 to §3.4: invalid messages, and those that only a transaction or an application
//! can judge.

use super::*;

pub(super) const MESSAGES: &[Torture] = &[
    // 3.1.2 Invalid messages
    case(
        "badinv01",
        Refuse(ParseError::HeaderValue),
        "INVITE sip:user@example.com SIP/2.0\n\
To: sip:j.user@example.com\n\
From: sip:caller@example.net;tag=134161461246\n\
Max-Forwards: 7\n\
Call-ID: badinv01.0ha0isndaksdjasdf3234nas\n\
CSeq: 8 INVITE\n\
Via: SIP/2.0/UDP 192.0.2.15;;,;,,\n\
Contact: \"Joe\" <sip:joe@example.org>;;;;\n\
Content-Length: 5\n\
Content-Type: application/sdp\n\
\n\
v=0\n",
    ),
    case(
        "clerr",
        Refuse(ParseError::ContentLength),
        "INVITE sip:user@example.com SIP/2.0\n\
Max-Forwards: 80\n\
To: sip:j.user@example.com\n\
From: sip:caller@example.net;tag=93942939o2\n\
Contact: <sip:caller@hungry.example.net>\n\
Call-ID: clerr.0ha0isndaksdjweiafasdk3\n\
CSeq: 8 INVITE\n\
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bK-39234-23523\n\
Content-Type: application/sdp\n\
Content-Length: 9999\n\
\n\
v=0\n",
    ),
    case(
        "ncl",
        Refuse(ParseError::ContentLength),
        "INVITE sip:user@example.com SIP/2.0\n\
Max-Forwards: 254\n\
To: sip:j.user@example.com\n\
From: sip:caller@example.net;tag=32394234\n\
Call-ID: ncl.0ha0isndaksdj2193423r542w35\n\
CSeq: 0 INVITE\n\
Via: SIP/2.0/UDP 192.0.2.53;branch=z9hG4bKkdjuw\n\
Contact: <sip:caller@example53.example.net>\n\
Content-Type: application/sdp\n\
Content-Length: -999\n\
\n\
v=0\n",
    ),
    case(
        "scalar02",
        Refuse(ParseError::HeaderValue),
        "REGISTER sip:example.com SIP/2.0\n\
Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bK342sdfoi3\n\
To: <sip:user@example.com>\n\
From: <sip:user@example.com>;tag=239232jh3\n\
CSeq: 36893488147419103232 REGISTER\n\
Call-ID: scalar02.23o0pd9vanlq3wnrlnewofjas9ui32\n\
Max-Forwards: 300\n\
Expires: 10000000000000000000000000000000000000000000000000000000000000000000000\n\
Contact: <sip:user@host129.example.com>\n\
\u{20} ;expires=280297596632815\n\
Content-Length: 0\n\n",
    ),
    case(
        "scalarlg",
        Refuse(ParseError::HeaderValue),
        "SIP/2.0 503 Service Unavailable\n\
Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw;received=192.0.2.129\n\
To: <sip:user@example.com>\n\
From: <sip:other@example.net>;tag=2easdjfejw\n\
CSeq: 9292394834772304023312 OPTIONS\n\
Call-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r\n\
Retry-After: 949302838503028349304023988\n\
Warning: 1812 overture \"In Progress\"\n\
Content-Length: 0\n\n",
    ),
    case(
        "quotbal",
        Refuse(ParseError::HeaderValue),
        "INVITE sip:user@example.com SIP/2.0\n\
To: \"Mr. J. User <sip:j.user@example.com>\n\
From: sip:caller@example.net;tag=93334\n\
Max-Forwards: 10\n\
Call-ID: quotbal.aksdj\n\
Contact: <sip:caller@host59.example.net>\n\
CSeq: 8 INVITE\n\
Via: SIP/2.0/UDP 192.0.2.59:5050;branch=z9hG4bKkdjuw39234\n\
Content-Type: application/sdp\n\
Content-Length: 5\n\
\n\
v=0\n",
    ),
    case(
        "ltgtruri",
        Refuse(ParseError::RequestUri),
        "INVITE <sip:user@example.com> SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:caller@example.net;tag=39291\n\
Max-Forwards: 23\n\
Call-ID: ltgtruri.1@192.0.2.5\n\
CSeq: 1 INVITE\n\
Via: SIP/2.0/UDP 192.0.2.5\n\
Contact: <sip:caller@host5.example.net>\n\
Content-Type: application/sdp\n\
Content-Length: 5\n\
\n\
v=0\n",
    ),
    case(
        "lwsruri",
        Refuse(ParseError::RequestLine),
        "INVITE sip:user@example.com; lr SIP/2.0\n\
To: sip:user@example.com;tag=3xfe-9921883-z9f\n\
From: sip:caller@example.net;tag=231413434\n\
Max-Forwards: 5\n\
Call-ID: lwsruri.asdfasdoeoi2323-asdfwrn23-asd834rk423\n\
CSeq: 2130706432 INVITE\n\
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKkdjuw2395\n\
Contact: <sip:caller@host1.example.net>\n\
Content-Type: application/sdp\n\
Content-Length: 5\n\
\n\
v=0\n",
    ),
    case(
        "lwsstart",
        Refuse(ParseError::RequestLine),
        "INVITE  sip:user@example.com  SIP/2.0\n\
Max-Forwards: 8\n\
To: sip:user@example.com\n\
From: sip:caller@example.net;tag=8814\n\
Call-ID: lwsstart.dfknq234oi243099adsdfnawe3@example.com\n\
CSeq: 1893884 INVITE\n\
Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bKkdjuw3923\n\
Contact: <sip:caller@host1.example.net>\n\
Content-Type: application/sdp\n\
Content-Length: 5\n\
\n\
v=0\n",
    ),
    case(
        "trws",
        Refuse(ParseError::RequestLine),
        "OPTIONS sip:remote-target@example.com SIP/2.0  \n\
Via: SIP/2.0/TCP host1.examle.com;branch=z9hG4bK299342093\n\
To: <sip:remote-target@example.com>\n\
From: <sip:local-resource@example.com>;tag=329429089\n\
Call-ID: trws.oicu34958239neffasdhr2345r\n\
Accept: application/sdp\n\
CSeq: 238923 OPTIONS\n\
Max-Forwards: 70\n\
Content-Length: 0\n\n",
    ),
    case(
        "escruri",
        Refuse(ParseError::RequestUri),
        "INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:caller@example.net;tag=341518\n\
Max-Forwards: 7\n\
Contact: <sip:caller@host39923.example.net>\n\
Call-ID: escruri.23940-asdfhj-aje3br-234q098w-fawerh2q-h4n5\n\
CSeq: 149209342 INVITE\n\
Via: SIP/2.0/UDP host-of-the-hour.example.com;branch=z9hG4bKkdjuw\n\
Content-Type: application/sdp\n\
Content-Length: 5\n\
\n\
v=0\n",
    ),
    // Nothing here depends on Date, so its bad time zone is let pass, as §3.1.2.12 allows.
    case(
        "baddate",
        Accept(|message| assert_eq!(message.value("Date"), Some("Fri, 01 Jan 2010 16:00:00 EST"))),
        "INVITE sip:user@example.com SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:caller@example.net;tag=2234923\n\
Max-Forwards: 70\n\
Call-ID: baddate.239423mnsadf3j23lj42--sedfnm234\n\
CSeq: 1392934 INVITE\n\
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw\n\
Date: Fri, 01 Jan 2010 16:00:00 EST\n\
Contact: <sip:caller@host5.example.net>\n\
Content-Type: application/sdp\n\
Content-Length: 5\n\
\n\
v=0\n",
    ),
    case(
        "regbadct",
        Refuse(ParseError::HeaderValue),
        "REGISTER sip:example.com SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:user@example.com;tag=998332\n\
Max-Forwards: 70\n\
Call-ID: regbadct.k345asrl3fdbv@10.0.0.1\n\
CSeq: 1 REGISTER\n\
Via: SIP/2.0/UDP 135.180.130.133:5060;branch=z9hG4bKkdjuw\n\
Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\n\
l: 0\n\n",
    ),
    case(
        "badaspec",
        Refuse(ParseError::HeaderValue),
        "OPTIONS sip:user@example.org SIP/2.0\n\
Via: SIP/2.0/UDP host4.example.com:5060;branch=z9hG4bKkdju43234\n\
Max-Forwards: 70\n\
From: \"Bell, Alexander\" <sip:a.g.bell@example.com>;tag=433423\n\
To: \"Watson, Thomas\" < sip:t.watson@example.org >\n\
Call-ID: badaspec.sdf0234n2nds0a099u23h3hnnw009cdkne3\n\
Accept: application/sdp\n\
CSeq: 3923239 OPTIONS\n\
l: 0\n\n",
    ),
    case(
        "baddn",
        Refuse(ParseError::HeaderValue),
        "OPTIONS sip:t.watson@example.org SIP/2.0\n\
Via:     SIP/2.0/UDP c.example.com:5060;branch=z9hG4bKkdjuw\n\
Max-Forwards:      70\n\
From:    Bell, Alexander <sip:a.g.bell@example.com>;tag=43\n\
To:      Watson, Thomas <sip:t.watson@example.org>\n\
Call-ID: baddn.31415@c.example.com\n\
Accept: application/sdp\n\
CSeq:    3923239 OPTIONS\n\
l: 0\n\n",
    ),
    case(
        "badvers",
        Refuse(ParseError::Version),
        "OPTIONS sip:t.watson@example.org SIP/7.0\n\
Via:     SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw\n\
Max-Forwards:     70\n\
From:    A. Bell <sip:a.g.bell@example.com>;tag=qweoiqpe\n\
To:      T. Watson <sip:t.watson@example.org>\n\
Call-ID: badvers.31417@c.example.com\n\
CSeq:    1 OPTIONS\n\
l: 0\n\n",
    ),
    case(
        "mismatch01",
        Refuse(ParseError::CSeqMismatch),
        "OPTIONS sip:user@example.com SIP/2.0\n\
To: sip:j.user@example.com\n\
From: sip:caller@example.net;tag=34525\n\
Max-Forwards: 6\n\
Call-ID: mismatch01.dj0234sxdfl3\n\
CSeq: 8 INVITE\n\
Via: SIP/2.0/UDP host.example.com;branch=z9hG4bKkdjuw\n\
l: 0\n\n",
    ),
    // An unknown method with another in CSeq: RFC 4475 §3.1.2.18 lets 501 or 400 be chosen.
    case(
        "mismatch02",
        Refuse(ParseError::Method),
        "NEWMETHOD sip:user@example.com SIP/2.0\n\
To: sip:j.user@example.com\n\
From: sip:caller@example.net;tag=34525\n\
Max-Forwards: 6\n\
Call-ID: mismatch02.dj0234sxdfl3\n\
CSeq: 8 INVITE\n\
Contact: <sip:caller@host.example.net>\n\
Via: SIP/2.0/UDP host.example.net;branch=z9hG4bKkdjuw\n\
Content-Type: application/sdp\n\
l: 5\n\
\n\
v=0\n",
    ),
    case(
        "bigcode",
        Refuse(ParseError::StatusLine),
        "SIP/2.0 4294967301 better not break the receiver\n\
Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\n\
Call-ID: bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i\n\
CSeq: 353494 INVITE\n\
From: <sip:user@example.com>;tag=39ansfi3\n\
To: <sip:user@example.edu>;tag=902jndnke3\n\
Content-Length: 0\n\
Contact: <sip:user@host105.example.com>\n\n",
    ),
    // 3.2 Transaction layer: the branch is the bare cookie. Accepted; `transaction::Key` falls back
    // to RFC 2543's fields.
    case(
        "badbranch",
        Accept(|message| assert_eq!(message.top_via().unwrap().branch(), Some(MAGIC_COOKIE))),
        "OPTIONS sip:user@example.com SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:caller@example.org;tag=33242\n\
Max-Forwards: 3\n\
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK\n\
Accept: application/sdp\n\
Call-ID: badbranch.sadonfo23i420jv0as0derf3j3n\n\
CSeq: 8 OPTIONS\n\
l: 0\n\n",
    ),
    // 3.3 Application layer
    case(
        "insuf",
        Refuse(ParseError::MissingHeader),
        "INVITE sip:user@example.com SIP/2.0\n\
CSeq: 193942 INVITE\n\
Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\n\
Content-Type: application/sdp\n\
l: 5\n\
\n\
v=0\n",
    ),
    // The user answers 416 to the next two.
    case(
        "unkscm",
        Accept(|message| {
            let uri = request(message).uri.to_string();
            assert_eq!(uri, "nobodyKnowsThisScheme:totallyopaquecontent");
            assert_eq!(Uri::parse(&uri).unwrap().scheme, Scheme::Other);
        }),
        "OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:caller@example.net;tag=384\n\
Max-Forwards: 3\n\
Call-ID: unkscm.nasdfasser0q239nwsdfasdkl34\n\
CSeq: 3923423 OPTIONS\n\
Via: SIP/2.0/TCP host9.example.com;branch=z9hG4bKkdjuw39234\n\
Content-Length: 0\n\n",
    ),
    case(
        "novelsc",
        Accept(|message| {
            assert_eq!(request(message).uri.to_string(), "soap.beep://192.0.2.103:3002")
        }),
        "OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:caller@example.net;tag=384\n\
Max-Forwards: 3\n\
Call-ID: novelsc.asdfasser0q239nwsdfasdkl34\n\
CSeq: 3923423 OPTIONS\n\
Via: SIP/2.0/TCP host9.example.com;branch=z9hG4bKkdjuw39234\n\
Content-Length: 0\n\n",
    ),
    case(
        "unksm2",
        Accept(|message| {
            assert_eq!(message.to_addr().unwrap().uri.as_str(), "isbn:2983792873");
            assert_eq!(message.from_addr().unwrap().uri.as_str(), "http://www.example.com");
        }),
        "REGISTER sip:example.com SIP/2.0\n\
To: isbn:2983792873\n\
From: <http://www.example.com>;tag=3234233\n\
Call-ID: unksm2.daksdj@hyphenated-host.example.com\n\
CSeq: 234902 REGISTER\n\
Max-Forwards: 70\n\
Via: SIP/2.0/UDP 192.0.2.21:5060;branch=z9hG4bKkdjuw\n\
Contact: <name:John_Smith>\n\
l: 0\n\n",
    ),
    // The user answers 420 with Unsupported.
    case(
        "bext01",
        Accept(|message| {
            assert!(
                message.requires("nothingSupportsThis")
                    && message.requires("nothingSupportsThisEither")
            );
            assert!(message.value("Proxy-Require").is_some());
        }),
        "OPTIONS sip:user@example.com SIP/2.0\n\
To: sip:j_user@example.com\n\
From: sip:caller@example.net;tag=242etr\n\
Max-Forwards: 6\n\
Call-ID: bext01.0ha0isndaksdj\n\
Require: nothingSupportsThis, nothingSupportsThisEither\n\
Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\n\
CSeq: 8 OPTIONS\n\
Via: SIP/2.0/TLS fold-and-staple.example.com;branch=z9hG4bKkdjuw\n\
Content-Length: 0\n\n",
    ),
    // The user answers 415.
    case(
        "invut",
        Accept(|message| assert_eq!(message.content_type(), Some("application/unknownformat"))),
        "INVITE sip:user@example.com SIP/2.0\n\
Contact: <sip:caller@host5.example.net>\n\
To: sip:j.user@example.com\n\
From: sip:caller@example.net;tag=8392034\n\
Max-Forwards: 70\n\
Call-ID: invut.0ha0isndaksdjadsfij34n23d\n\
CSeq: 235448 INVITE\n\
Via: SIP/2.0/UDP somehost.example.com;branch=z9hG4bKkdjuw\n\
Content-Type: application/unknownformat\n\
Content-Length: 40\n\
\n\
<audio>\n\
\u{20}<pcmu port=\"443\"/>\n\
</audio>\n",
    ),
    case(
        "regaut01",
        Accept(|message| {
            assert!(message.value("Authorization").unwrap().starts_with("NoOneKnowsThisScheme "))
        }),
        "REGISTER sip:example.com SIP/2.0\n\
To: sip:j.user@example.com\n\
From: sip:j.user@example.com;tag=87321hj23128\n\
Max-Forwards: 8\n\
Call-ID: regaut01.0ha0isndaksdj\n\
CSeq: 9338 REGISTER\n\
Via: SIP/2.0/TCP 192.0.2.253;branch=z9hG4bKkdjuw\n\
Authorization: NoOneKnowsThisScheme opaque-data=here\n\
Content-Length:0\n\n",
    ),
    case(
        "multi01",
        Refuse(ParseError::RepeatedHeader),
        "INVITE sip:user@company.com SIP/2.0\n\
Contact: <sip:caller@host25.example.net>\n\
Via: SIP/2.0/UDP 192.0.2.25;branch=z9hG4bKkdjuw\n\
Max-Forwards: 70\n\
CSeq: 5 INVITE\n\
Call-ID: multi01.98asdh@192.0.2.1\n\
CSeq: 59 INVITE\n\
Call-ID: multi01.98asdh@192.0.2.2\n\
From: sip:caller@example.com;tag=3413415\n\
To: sip:user@example.com\n\
To: sip:other@example.net\n\
From: sip:caller@example.net;tag=2923420123\n\
Content-Type: application/sdp\n\
l: 5\n\
Contact: <sip:caller@host36.example.net>\n\
Max-Forwards: 5\n\
\n\
v=0\n",
    ),
    case(
        "mcl01",
        Refuse(ParseError::RepeatedHeader),
        "OPTIONS sip:user@example.com SIP/2.0\n\
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bK293423\n\
To: sip:user@example.com\n\
From: sip:other@example.net;tag=3923942\n\
Call-ID: mcl01.fhn2323orihawfdoa3o4r52o3irsdf\n\
CSeq: 15932 OPTIONS\n\
Content-Length: 13\n\
Max-Forwards: 60\n\
Content-Length: 5\n\
Content-Type: text/plain\n\
\n\
There's no way to know how many octets are supposed to be here.\n",
    ),
    // The top Via is not ours, so no transaction matches; no element may send this on to
    // 255.255.255.255.
    case(
        "bcast",
        Accept(|message| {
            assert_eq!(message.values("Via").count(), 2);
            assert_eq!(message.top_via().unwrap().host, "192.0.2.198");
        }),
        "SIP/2.0 200 OK\n\
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n\
Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\n\
Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf\n\
CSeq: 35 INVITE\n\
From: sip:user@example.com;tag=11141343\n\
To: sip:user@example.edu;tag=2229\n\
Content-Length: 5\n\
Content-Type: application/sdp\n\
Contact: <sip:user@host28.example.com>\n\
\n\
v=0\n",
    ),
    // A user agent serves this: only a proxy would have to send it on.
    case(
        "zeromf",
        Accept(|message| assert_eq!(message.max_forwards(), Some(0))),
        "OPTIONS sip:user@example.com SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:caller@example.net;tag=3ghsd41\n\
Call-ID: zeromf.jfasdlfnm2o2l43r5u0asdfas\n\
CSeq: 39234321 OPTIONS\n\
Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bKkdjuw2349i\n\
Max-Forwards: 0\n\
Content-Length: 0\n\n",
    ),
    case(
        "cparam01",
        Accept(|message| assert!(message.contact().unwrap().params.has("unknownparam"))),
        "REGISTER sip:example.com SIP/2.0\n\
Via: SIP/2.0/UDP saturn.example.com:5060;branch=z9hG4bKkdjuw\n\
Max-Forwards: 70\n\
From: sip:watson@example.com;tag=DkfVgjkrtMwaerKKpe\n\
To: sip:watson@example.com\n\
Call-ID: cparam01.70710@saturn.example.com\n\
CSeq: 2 REGISTER\n\
Contact: sip:+19725552222@gw1.example.net;unknownparam\n\
l: 0\n\n",
    ),
    case(
        "cparam02",
        Accept(|message| {
            let contact = message.contact().unwrap();
            assert!(contact.uri.params.has("unknownparam") && !contact.params.has("unknownparam"));
        }),
        "REGISTER sip:example.com SIP/2.0\n\
Via: SIP/2.0/UDP saturn.example.com:5060;branch=z9hG4bKkdjuw\n\
Max-Forwards: 70\n\
From: sip:watson@example.com;tag=838293\n\
To: sip:watson@example.com\n\
Call-ID: cparam02.70710@saturn.example.com\n\
CSeq: 3 REGISTER\n\
Contact: <sip:+19725552222@gw1.example.net;unknownparam>\n\
l: 0\n\n",
    ),
    case(
        "regescrt",
        Accept(|message| {
            assert_eq!(
                message.contact().unwrap().uri.headers,
                Some("Route=%3Csip:sip.example.com%3E")
            );
        }),
        "REGISTER sip:example.com SIP/2.0\n\
To: sip:user@example.com\n\
From: sip:user@example.com;tag=8\n\
Max-Forwards: 70\n\
Call-ID: regescrt.k345asrl3fdbv@192.0.2.1\n\
CSeq: 14398234 REGISTER\n\
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw\n\
M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\n\
L:0\n\n",
    ),
    // The user answers 406 or 488.
    case(
        "sdp01",
        Accept(|message| assert_eq!(message.value("Accept"), Some("text/nobodyKnowsThis"))),
        "INVITE sip:user@example.com SIP/2.0\n\
To: sip:j_user@example.com\n\
Contact: <sip:caller@host15.example.net>\n\
From: sip:caller@example.net;tag=234\n\
Max-Forwards: 5\n\
Call-ID: sdp01.ndaksdj9342dasdd\n\
Accept: text/nobodyKnowsThis\n\
CSeq: 8 INVITE\n\
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw\n\
Content-Length: 5\n\
Content-Type: application/sdp\n\
\n\
v=0\n",
    ),
    // 3.4 Backward compatibility
    case(
        "inv2543",
        Accept(|message| {
            let invite = request(message);
            assert_eq!((invite.from_tag(), invite.top_via().unwrap().branch()), (None, None));
            assert_eq!((invite.max_forwards(), invite.contact()), (None, None));
            assert!(invite.body.starts_with(b"v=0"));
        }),
        "INVITE sip:UserB@example.com SIP/2.0\n\
Via: SIP/2.0/UDP iftgw.example.com\n\
From: <sip:+13035551111@ift.client.example.net;user=phone>\n\
Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>\n\
To: sip:+16505552222@ss1.example.net;user=phone\n\
Call-ID: inv2543.1717@ift.client.example.com\n\
CSeq: 56 INVITE\n\
Content-Type: application/sdp\n\
\n\
v=0\n\
o=mhandley 29739 7272939 IN IP4 192.0.2.5\n\
s=-\n\
c=IN IP4 192.0.2.5\n\
t=0 0\n\
m=audio 49217 RTP/AVP 0\n",
    ),
];
