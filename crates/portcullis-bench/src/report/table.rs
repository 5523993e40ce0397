//! The table that people read, in Markdown.

use std::fmt;

use super::{Footprint, Machine, Results, Row, Versus, float};

const HEAD: &str = "
| cell | target | calls/s | p50 µs | p90 µs | p99 µs | p99.9 µs | CPU µs/call | CPU ratio | throughput ratio | added p50 µs | added p99.9 µs |
| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |
";

impl fmt::Display for Results {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            processor,
            processors,
            kernel,
        } = &self.machine;
        writeln!(out, "{processors} × {processor}, Linux {kernel}.")?;
        let (rounds, seconds) = (self.rounds, self.seconds);
        write!(
            out,
            "Medians of {rounds} interleaved rounds of {seconds} s."
        )?;
        writeln!(
            out,
            "{}",
            if self.quick {
                " Quick: not to be published."
            } else {
                ""
            }
        )?;
        out.write_str(HEAD)?;
        for row in &self.rows {
            row.fmt(out)?;
        }
        out.write_str("\n| target | idle MiB | used MiB | peak MiB | KiB an idle session |\n| --- | --: | --: | --: | --: |\n")?;
        for footprint in &self.footprints {
            footprint.fmt(out)?;
        }
        let dropped = self.direct().map(|row| row.dropped).sum::<usize>();
        let noisy = self.direct().map(|row| row.noisy).sum::<usize>();
        writeln!(
            out,
            "\nRounds dropped because others used the machine: {dropped}; kept although they did (~): {noisy}."
        )?;
        for fault in &self.faults {
            writeln!(out, "INVALID: {fault}")?;
        }
        Ok(())
    }
}

impl Results {
    fn direct(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.versus.is_none())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cell, target) = (&self.cell, &self.target);
        let mark = if self.noisy > 0 { " ~" } else { "" };
        write!(
            out,
            "| {cell}{mark} | {target} | {:.0}",
            self.requests_per_second
        )?;
        for latency in [self.p50_us, self.p90_us, self.p99_us, self.p999_us] {
            write!(out, " | {latency:.0}")?;
        }
        let added = |versus: &Versus| (versus.added_p50_us, versus.added_p999_us);
        let (half, tail) = self.versus.as_ref().map_or((0.0, 0.0), added);
        match (&self.versus, self.rate) {
            (_, Some(rate)) => write!(out, " | – | – | {:.0} % of the rate", self.share_of(rate))?,
            (None, None) => {
                let all_in = self.generator_cpu_us + self.upstream_cpu_us;
                write!(out, " | {all_in:.1} | 1 | 1")?;
            }
            (Some(versus), None) => {
                let [low, high] = versus.cpu_ratio_range;
                let (own, ratio) = (self.gate_cpu_us, versus.cpu_ratio);
                write!(out, " | {own:.1} | {ratio:.2} ({low:.2}–{high:.2})")?;
                write!(out, " | {:.2}", versus.throughput_ratio)?;
            }
        }
        writeln!(out, " | {half:+.0} | {tail:+.0} |")
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |kib: Option<u64>| {
            kib.map_or_else(
                || "–".to_owned(),
                |kib| format!("{:.1}", float(kib) / 1024.0),
            )
        };
        let session = self.session_kib;
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            self.target,
            mib(Some(self.idle_kib)),
            mib(self.used_kib),
            mib(self.peak_kib),
            session.map_or_else(|| "–".to_owned(), |kib| format!("{kib:.1}"))
        )
    }
}
