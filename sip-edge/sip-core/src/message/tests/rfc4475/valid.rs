//! RFC 4475 §3.1.1: valid messages.

use super::*;

pub(super) const MESSAGES: &[Torture] = &[
    // 3.1.1 Valid messages
    case(
        "wsinv",
        Accept(|message| {
            let invite = request(message);
            assert_eq!(invite.cseq(), Some(CSeq { number: 9, method: Method::Invite }));
            assert_eq!(
                (invite.to_tag(), invite.from_tag()),
                (Some("1918181833n"), Some("98asjd8"))
            );
            assert_eq!(invite.from_addr().unwrap().display, r#"J Rosenberg \\\""#);
            assert_eq!(invite.max_forwards(), Some(68));
            let vias: Vec<_> = invite.values("Via").map(|via| Via::parse(via).unwrap()).collect();
            assert_eq!(
                vias.iter().map(|via| via.host).collect::<Vec<_>>(),
                ["192.0.2.2", "spindle.example.com", "192.168.255.111"]
            );
            assert_eq!(vias[2].branch(), Some("z9hG4bK30239"));
            assert_eq!(
                invite.value("NewFangledHeader"),
                Some("newfangled value continued newfangled value")
            );
            assert_eq!(invite.value("Subject"), Some(""));
            assert_eq!(invite.contact().unwrap().params.value("q"), Some("0.33"));
            assert!(invite.is_content_type("application/sdp"));
            assert_eq!(invite.body.len(), 150);
        }),
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\n\
TO :\n\
\u{20}sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\n\
from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\n\
\u{20} ;\n\
\u{20} tag = 98asjd8\n\
MaX-fOrWaRdS: 0068\n\
Call-ID: wsinv.ndaksdj@192.0.2.1\n\
Content-Length   : 150\n\
cseq: 0009\n\
\u{20} INVITE\n\
Via  : SIP  /   2.0\n\
\u{20}/UDP\n\
\u{20}   192.0.2.2;branch=390skdjuw\n\
s :\n\
NewFangledHeader:   newfangled value\n\
\u{20}continued newfangled value\n\
UnknownHeaderWithUnusualValue: ;;,,;;,;\n\
Content-Type: application/sdp\n\
Route:\n\
\u{20}<sip:services.example.com;lr;unknownwith=value;unknown-no-value>\n\
v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n\
\u{20} branch  =   z9hG4bK9ikj8  ,\n\
\u{20}SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n\
\u{20}z9hG4bK30239\n\
m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\n\
\u{20}     newvalue ;\n\
\u{20} secondparam ; q = 0.33\n\
\n\
v=0\n\
o=mhandley 29739 7272939 IN IP4 192.0.2.3\n\
s=-\n\
c=IN IP4 192.0.2.4\n\
t=0 0\n\
m=audio 49217 RTP/AVP 0 12\n\
m=video 3227 RTP/AVP 31\n\
a=rtpmap:31 LPC\n",
    ),
    // Well-formed throughout, but of a method that nobody knows: 501 is its answer at a user agent.
    case(
        "intmeth",
        Refuse(ParseError::Method),
        "!interesting-Method0123456789_*+`.%indeed'~ \
sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\n\
Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n\
To: \"BEL:\\\u{7} NUL:\\\u{0} DEL:\\\u{7f}\" \
<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\n\
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>\
;fromParam''~+*_!.-%=\"\u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{44e}\u{449}\u{438}\u{439}\";tag=_token~1'+`*%!-.\n\
Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\n\
CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\n\
Max-Forwards: 255\n\
extensionHeader-!.%*+_`'~:\u{feff}\u{5927}\u{505c}\u{96fb}\n\
Content-Length: 0\n\n",
    ),
    case(
        "esc01",
        Accept(|message| {
            let invite = request(message);
            let uri = invite.uri.to_string();
            assert_eq!(
                Uri::parse(&uri).unwrap().user_text().as_deref(),
                Some("sips:user@example.com")
            );
            assert_eq!(invite.to_addr().unwrap().uri.user_text().as_deref(), Some("user"));
            assert_eq!(invite.contact().unwrap().params.value("na%6de"), Some("value"));
            assert!(invite.contact().unwrap().params.value("name%00").is_none());
        }),
        "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0\n\
To: sip:%75se%72@example.com\n\
From: <sip:I%20have%20spaces@example.net>;tag=938\n\
Max-Forwards: 87\n\
i: esc01.239409asdfakjkn23onasd0-3234\n\
CSeq: 234234 INVITE\n\
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw\n\
C: application/sdp\n\
Contact:\n\
\u{20} <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>;na%6de=value\n\
Content-Length: 5\n\
\n\
v=0\n",
    ),
    case(
        "escnull",
        Accept(|message| {
            let register = request(message);
            assert_eq!(
                register.to_addr().unwrap().uri.user_text().as_deref(),
                Some("null-\0-null")
            );
            assert_eq!(register.values("Contact").count(), 2);
        }),
        "REGISTER sip:example.com SIP/2.0\n\
To: sip:null-%00-null@example.com\n\
From: sip:null-%00-null@example.com;tag=839923423\n\
Max-Forwards: 70\n\
Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd\n\
CSeq: 14398234 REGISTER\n\
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw\n\
Contact: <sip:%00@host5.example.com>\n\
Contact: <sip:%00%00@host5.example.com>\n\
L:0\n\n",
    ),
    // A percent sign that is no escape stands outside URIs: in the method, here a known one, and in
    // parameters.
    case(
        "esc02",
        Refuse(ParseError::Method),
        "RE%47IST%45R sip:registrar.example.com SIP/2.0\n\
To: \"%Z%45\" <sip:resource@example.com>\n\
From: \"%Z%45\" <sip:resource@example.com>;tag=f232jadfj23\n\
Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf\n\
Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234\n\
CSeq: 29344 RE%47IST%45R\n\
Max-Forwards: 70\n\
Contact: <sip:alias1@host1.example.com>\n\
C%6Fntact: <sip:alias2@host2.example.com>\n\
Contact: <sip:alias3@host3.example.com>\n\
l: 0\n\n",
    ),
    case(
        "lwsdisp",
        Accept(|message| {
            let from = request(message).from_addr().unwrap();
            assert_eq!(
                (from.display, from.uri.as_str(), from.tag()),
                ("caller", "sip:caller@example.com", Some("323"))
            );
        }),
        "OPTIONS sip:user@example.com SIP/2.0\n\
To: sip:user@example.com\n\
From: caller<sip:caller@example.com>;tag=323\n\
Max-Forwards: 70\n\
Call-ID: lwsdisp.1234abcd@funky.example.com\n\
CSeq: 60 OPTIONS\n\
Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw\n\
l: 0\n\n",
    ),
    case(
        "longreq",
        Accept(|message| {
            let invite = request(message);
            assert_eq!(invite.values("Via").count(), 34);
            assert_eq!(invite.to_tag(), None);
            assert_eq!(invite.from_tag().unwrap().len(), 222);
            assert_eq!(invite.contact_uri().unwrap().host, "host5.example.com");
            assert!(invite.body.starts_with(b"v=0\r\n"));
        }),
        LONGREQ,
    ),
    // Two requests in one datagram: the second lies behind the first's Content-Length and is
    // ignored.
    case(
        "dblreq",
        Accept(|message| {
            let register = request(message);
            assert_eq!((register.method, register.body.len()), (Method::Register, 0));
        }),
        "REGISTER sip:example.com SIP/2.0\n\
To: sip:j.user@example.com\n\
From: sip:j.user@example.com;tag=43251j3j324\n\
Max-Forwards: 8\n\
I: dblreq.0ha0isndaksdj99sdfafnl3lk233412\n\
Contact: sip:j.user@host.example.com\n\
CSeq: 8 REGISTER\n\
Via: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492\n\
Content-Length: 0\n\
\n\
\n\
INVITE sip:joe@example.com SIP/2.0\n\
t: sip:joe@example.com\n\
From: sip:caller@example.net;tag=141334\n\
Max-Forwards: 8\n\
Call-ID: dblreq.0ha0isnda977644900765@192.0.2.15\n\
CSeq: 8 INVITE\n\
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw380234\n\
Content-Type: application/sdp\n\
Content-Length: 5\n\
\n\
v=0\n",
    ),
    case(
        "semiuri",
        Accept(|message| {
            let uri = request(message).uri.to_string();
            let uri = Uri::parse(&uri).unwrap();
            assert_eq!((uri.user, uri.host), (Some("user;par=u%40example.net"), "example.com"));
            assert_eq!(uri.params, Params::default());
        }),
        "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0\n\
To: sip:j_user@example.com\n\
From: sip:caller@example.org;tag=33242\n\
Max-Forwards: 3\n\
Call-ID: semiuri.0ha0isndaksdj\n\
CSeq: 8 OPTIONS\n\
Accept: application/sdp, application/pkcs7-mime,\n\
\u{20}       multipart/mixed, multipart/signed,\n\
\u{20}       message/sip, message/sipfrag\n\
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw\n\
l: 0\n\n",
    ),
    case(
        "transports",
        Accept(|message| {
            let transports: Vec<_> =
                message.values("Via").map(|via| Via::parse(via).unwrap().transport).collect();
            assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
        }),
        "OPTIONS sip:user@example.com SIP/2.0\n\
To: sip:user@example.com\n\
From: <sip:caller@example.com>;tag=323\n\
Max-Forwards: 70\n\
Call-ID:  transports.kijh4akdnaqjkwendsasfdj\n\
Accept: application/sdp\n\
CSeq: 60 OPTIONS\n\
Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw\n\
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf\n\
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj\n\
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en\n\
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee\n\
l: 0\n\n",
    ),
    Torture {
        name: "mpart01",
        expect: Accept(|message| {
            let body = &request(message).body;
            assert!(request(message).content_type().unwrap() == "multipart/mixed");
            assert!(
                body.ends_with(b"\x00\xff\xfe\r\n--7a9cbec02ceef655--"),
                "the body is kept byte for byte"
            );
        }),
        text: "MESSAGE sip:kumiko@example.org SIP/2.0\n\
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport\n\
Max-Forwards: 70\n\
Route: <sip:127.0.0.1:5080>\n\
Identity: \
r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD+813gvYjcBUaZngQmXc9WNZSDNGCzA+fWl9MEUHWIZo1CeJ\
ebdY/XlgKeTa0Olvq0rt70Q5jiSfbqMJmQFteeivUhkMWYUA=\n\
Contact: <sip:fluffy@127.0.0.1:5070>\n\
To: <sip:kumiko@example.org>\n\
From: <sip:fluffy@example.com>;tag=2fb0dcc9\n\
Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..\n\
CSeq: 1 MESSAGE\n\
Content-Transfer-Encoding: binary\n\
Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\n\
Date: Sat, 15 Oct 2005 04:44:56 GMT\n\
User-Agent: SIPimp.org/0.2.5 (curses)\n\
Content-Length: 144\n\
\n\
--7a9cbec02ceef655\n\
Content-Type: text/plain\n\
\n\
Hello\n\
--7a9cbec02ceef655\n\
Content-Type: application/octet-stream\n\
\n",
        tail: b"\x30\x82\x00\xff\xfe\r\n--7a9cbec02ceef655--",
    },
    case(
        "unreason",
        Accept(|message| {
            assert_eq!(response(message).status_code, StatusCode::OK);
            assert_eq!(response(message).call_id(), Some("unreason.1234ksdfak3j2erwedfsASdf"));
        }),
        "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e} \
            \u{434}\u{435}\u{432}\u{44f}\u{43d}\u{43e}\u{441}\u{442}\u{43e} - \
            \u{43f}\u{440}\u{43e}\n\
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n\
Call-ID: unreason.1234ksdfak3j2erwedfsASdf\n\
CSeq: 35 INVITE\n\
From: sip:user@example.com;tag=11141343\n\
To: sip:user@example.edu;tag=2229\n\
Content-Length: 5\n\
Content-Type: application/sdp\n\
Contact: <sip:user@host198.example.com>\n\
\n\
v=0\n",
    ),
    case(
        "noreason",
        Accept(|message| assert_eq!(response(message).status_code, StatusCode::Trying)),
        "SIP/2.0 100 \n\
Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\n\
Call-ID: noreason.asndj203insdf99223ndf\n\
CSeq: 35 INVITE\n\
From: <sip:user@example.com>;tag=39ansfi3\n\
To: <sip:user@example.edu>;tag=902jndnke3\n\
Content-Length: 0\n\
Contact: <sip:user@host105.example.com>\n\n",
    ),
];

const LONGREQ: &str = "INVITE sip:user@example.com SIP/2.0\n\
To: \"I have a user name of \
extremeextremeextremeextremeextremeextremeextremeextremeextremeextreme proportion\" <sip:u\
ser@example.com:6000;unknownparam1=verylonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglon\
gvalue;longparamnamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamename=s\
hortvalue;verylonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglongPara\
meterNameWithNoValue>\n\
F: sip:amazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcaller\
name@example.net;tag=1298298298298298298298298298298298298298298298298298298298298298298298298298298298298298298298298\
2982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982\
9829824;unknownheaderparamnamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamename=unknowheade\
rparamvaluevaluevaluevaluevaluevaluevaluevaluevaluevaluevaluevaluevaluevaluevalue;unknownValuelessparamnameparamnamepa\
ramnameparamnameparamnameparamnameparamnameparamnameparamnameparamname\n\
Call-ID: \
longreq.onereallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyre\
allyreallyreallyreallylongcallid\n\
CSeq: 3882340 INVITE\n\
Unknown-LongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLong-Name: \
unknown-longlonglonglon\
glonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong-value; \
unknown-longlonglonglonglonglonglonglonglongl\
onglonglonglonglonglonglonglonglonglonglong-parameter-name = \
unknown-longlonglonglonglonglonglonglonglonglonglonglongl\
onglonglonglonglonglonglonglong-parameter-value\n\
Via: SIP/2.0/TCP sip33.example.com\n\
v: SIP/2.0/TCP sip32.example.com\n\
Via: SIP/2.0/TCP sip31.example.com\n\
v: SIP/2.0/TCP sip30.example.com\n\
Via: SIP/2.0/TCP sip29.example.com\n\
v: SIP/2.0/TCP sip28.example.com\n\
Via: SIP/2.0/TCP sip27.example.com\n\
v: SIP/2.0/TCP sip26.example.com\n\
Via: SIP/2.0/TCP sip25.example.com\n\
v: SIP/2.0/TCP sip24.example.com\n\
Via: SIP/2.0/TCP sip23.example.com\n\
v: SIP/2.0/TCP sip22.example.com\n\
Via: SIP/2.0/TCP sip21.example.com\n\
v: SIP/2.0/TCP sip20.example.com\n\
Via: SIP/2.0/TCP sip19.example.com\n\
v: SIP/2.0/TCP sip18.example.com\n\
Via: SIP/2.0/TCP sip17.example.com\n\
v: SIP/2.0/TCP sip16.example.com\n\
Via: SIP/2.0/TCP sip15.example.com\n\
v: SIP/2.0/TCP sip14.example.com\n\
Via: SIP/2.0/TCP sip13.example.com\n\
v: SIP/2.0/TCP sip12.example.com\n\
Via: SIP/2.0/TCP sip11.example.com\n\
v: SIP/2.0/TCP sip10.example.com\n\
Via: SIP/2.0/TCP sip9.example.com\n\
v: SIP/2.0/TCP sip8.example.com\n\
Via: SIP/2.0/TCP sip7.example.com\n\
v: SIP/2.0/TCP sip6.example.com\n\
Via: SIP/2.0/TCP sip5.example.com\n\
v: SIP/2.0/TCP \
sip4.example.com;branch=verylonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglon\
glonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglongl\
onglongbranchvalue\n\
Via: SIP/2.0/TCP sip3.example.com\n\
v: SIP/2.0/TCP sip2.example.com\n\
Via: SIP/2.0/TCP sip1.example.com\n\
Via: SIP/2.0/TCP \
host.example.com;received=192.0.2.5;branch=verylonglonglonglonglonglonglonglonglonglonglonglonglonglo\
nglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong\
longlonglonglonglonglonglongbranchvalue\n\
Max-Forwards: 70\n\
Contact: \
<sip:amazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylon\
gcallername@host5.example.com>\n\
Content-Type: application/sdp\n\
l: 5\n\
\n\
v=0\n";
