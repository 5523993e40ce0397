//! The one style of all pages: it stands in the page, and the policy names its digest.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::LazyLock;

/// The source that the policy allows.
pub(super) static POLICY_OF_STYLE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "sha256-{}",
        STANDARD.encode(digest(&SHA256, STYLE.as_bytes()).as_ref())
    )
});

pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#eef1f5;--card:#fff;--ink:#16202c;--soft:#4a5868;--line:#cfd6de;\
--deed:#0b5394;--on-deed:#fff;--warn:#fff4dc;--warn-line:#b26b00;--new:#0b6b3a;--danger:#a3201d}\
@media(prefers-color-scheme:dark){:root{--ground:#10151c;--card:#19212b;--ink:#edf1f6;--soft:#b4bfcc;--line:#3b4756;\
--deed:#8cc2ff;--on-deed:#0a1624;--warn:#33270f;--warn-line:#e0a94a;--new:#7fd8a4;--danger:#ff9a94}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;background:var(--ground);color:var(--ink);\
font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\
header{display:flex;align-items:center;gap:.6rem;max-width:38rem;margin:0 auto;padding:2rem 1.5rem 1rem;font-weight:600}\
.mark{width:1.4rem;height:1.4rem;border:2px solid var(--deed);border-radius:.5rem .5rem .15rem .15rem;\
background:repeating-linear-gradient(90deg,transparent 0 .22rem,var(--deed) .22rem .34rem)}\
main{max-width:38rem;margin:0 auto 3rem;padding:2rem 1.5rem;background:var(--card);border:1px solid var(--line);\
border-radius:.9rem;box-shadow:0 .4rem 1.6rem rgba(10,25,45,.08)}\
@media(min-width:40rem){main{padding:2.2rem 2.4rem}}\
h1{margin:0 0 .8rem;font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}\
h2{margin:1.8rem 0 .6rem;font-size:1.05rem}\
p{margin:.6rem 0}.soft{color:var(--soft)}\
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}\
dl{margin:1rem 0;border-top:1px solid var(--line)}\
dl div{display:grid;grid-template-columns:9.5rem 1fr;gap:.2rem 1rem;padding:.6rem 0;border-bottom:1px solid var(--line)}\
@media(max-width:30rem){dl div{grid-template-columns:1fr}}\
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
ul{margin:.6rem 0;padding:0;list-style:none}\
li{padding:.7rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}li:last-child{border:0}\
.tag{display:inline-block;margin-left:.5rem;padding:0 .5rem;border:1px solid currentColor;border-radius:1rem;\
font-size:.8rem;font-weight:600}.new{color:var(--new)}.doubt{color:var(--danger)}\
.warn{margin:1.2rem 0;padding:.8rem 1rem;background:var(--warn);border-left:.3rem solid var(--warn-line);border-radius:.3rem}\
.warn strong{display:block}.high{border:.2rem solid var(--danger)}\
pre{max-height:24rem;overflow:auto;padding:.8rem 1rem;border:1px solid var(--line);border-radius:.3rem;white-space:pre-wrap;\
overflow-wrap:anywhere;font:.92em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}\
mark{background:var(--warn);color:var(--danger)}\
input{font:inherit;min-height:2.6rem;width:100%;max-width:24rem;padding:.3rem .6rem;border:1px solid var(--soft);\
border-radius:.4rem;background:var(--card);color:var(--ink)}\
.deeds{display:flex;flex-wrap:wrap;gap:.8rem;margin-top:1.8rem}\
button{font:inherit;font-weight:600;min-height:2.9rem;padding:.5rem 1.4rem;border-radius:.5rem;border:1px solid var(--deed);\
background:transparent;color:var(--deed);cursor:pointer}\
button.main{background:var(--deed);color:var(--on-deed)}\
button.small{min-height:2.4rem;padding:.3rem .9rem;margin-top:.4rem}\
button:focus-visible,a:focus-visible,summary:focus-visible{outline:3px solid var(--warn-line);outline-offset:2px}\
a{color:var(--deed)}details{margin-top:1rem}summary{cursor:pointer;color:var(--soft)}";
