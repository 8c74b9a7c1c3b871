//! Line charts as SVG inside a page. Colours are numbers that the page's style sheet replaces, so
//! that a chart follows the reader's light or dark.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::style::FontTransform;

/// Size in units of the drawing; the page scales it.
const SIZE: (u32, u32) = (520, 290);
/// Lines, axes and words; the style sheet knows these numbers.
const INK: RGBColor = RGBColor(0, 0, 1);
const GRID: RGBColor = RGBColor(0, 0, 2);

/// One line.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Lines over one pair of axes, which begin at zero unless x is logarithmic.
pub struct Chart {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub is_logarithmic: bool,
    pub lines: Vec<Line>,
}

impl Chart {
    /// The figure with its title and legend; nothing if there is nothing to draw.
    pub fn figure(&self) -> Markup {
        let lines: Vec<&Line> = self.lines.iter().filter(|line| line.points.len() > 1).collect();
        if lines.is_empty() {
            return html! {};
        }
        html! {
            figure {
                figcaption {
                    strong { (self.title) }
                    span.legend {
                        @for (n, line) in lines.iter().enumerate() {
                            span { i class={ "swatch line" (n) } {} (line.name) }
                        }
                    }
                }
                (PreEscaped(self.svg(&lines)))
            }
        }
    }

    fn svg(&self, lines: &[&Line]) -> String {
        let mut text = String::new();
        let points = || lines.iter().flat_map(|line| &line.points);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
        let (x_most, y_most) = (most(|point| point.0), most(|point| point.1));
        let y = 0.0..if y_most > 0.0 { y_most * 1.05 } else { 1.0 };
        {
            let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            // Writing to a string does not fail.
            if self.is_logarithmic {
                let least = points().map(|point| point.0).filter(|x| *x > 0.0);
                let least = least.fold(x_most, f64::min).max(1e-3);
                let x = (least..x_most.max(least * 2.0)).log_scale();
                self.draw(&area, x, y, lines).expect("a drawing");
            } else {
                let x = 0.0..if x_most > 0.0 { x_most } else { 1.0 };
                self.draw(&area, x, y, lines).expect("a drawing");
            }
        }
        // A page needs no namespace, and its drawings scale.
        text.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "").replacen(
            &format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1),
            "",
            1,
        )
    }

    fn draw<'a, X>(
        &self,
        area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
        x: X,
        y: std::ops::Range<f64>,
        lines: &[&Line],
    ) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>
    where
        X: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
        X::CoordDescType: plotters::coord::ranged1d::ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(18)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(x, y)?;
        let words = ("sans-serif", 16).into_font().color(&INK);
        let is_fine = |value: f64| value != 0.0 && value.abs() < 0.1;
        let number = |value: &f64| {
            if is_fine(*value) {
                format!("{value:.2}")
            } else {
                format!("{}", (value * 10.0).round() / 10.0)
            }
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(7)
            .y_labels(6)
            .x_label_formatter(&number)
            .y_label_formatter(&number)
            .x_desc(self.x)
            .y_desc(self.y)
            .label_style(words.clone())
            .axis_desc_style(words.transform(FontTransform::None))
            .draw()?;
        for (n, line) in lines.iter().enumerate() {
            let style = RGBColor(1, 0, n as u8).stroke_width(2);
            let x_least = f64::from(u8::from(self.is_logarithmic)) * 1e-3;
            let points = line.points.iter().copied().filter(|point| point.0 >= x_least);
            chart.draw_series(LineSeries::new(points, style))?;
        }
        area.present()
    }
}
