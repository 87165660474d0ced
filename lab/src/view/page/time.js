// The mapping from times to places on the screen: to scale, or with quiet periods folded.

// Messages take microseconds and time-outs hundreds of milliseconds. In the folded scale, each moment at
// which something happens takes at least one step, and a gap takes more steps the longer it is. A place
// is in nanoseconds when the time is to scale, and in steps when it is folded.
class Scale {
  constructor(run) {
    const moments = [];
    for (let e = 0; e < run.n; e++) if (e === 0 || run.at[e] > run.at[e - 1]) moments.push(run.at[e]);
    if (!moments.length) moments.push(0);
    this.moments = Float64Array.from(moments);
    this.places = new Float64Array(moments.length);
    for (let i = 1; i < moments.length; i++) {
      this.places[i] = this.places[i - 1] + 1 + 1.5 * Math.log10(1 + (moments[i] - moments[i - 1]) / 20e3);
    }
    this.folded = true;
    this.from = 0;
    this.to = 1;
  }

  // The place of a time in nanoseconds.
  place(at) {
    if (!this.folded) return at;
    const { moments, places } = this;
    const i = lowerBound(moments, at + 0.5) - 1;
    if (i < 0) return at - moments[0];
    if (i === moments.length - 1) return places[i] + (at - moments[i]) / 1e6;
    return places[i] + (places[i + 1] - places[i]) * (at - moments[i]) / (moments[i + 1] - moments[i]);
  }

  // The time in nanoseconds at a place.
  time(place) {
    if (!this.folded) return place;
    const { moments, places } = this;
    const i = lowerBound(places, place + 1e-9) - 1;
    if (i < 0) return moments[0] + place;
    if (i === moments.length - 1) return moments[i] + (place - places[i]) * 1e6;
    return moments[i] + (moments[i + 1] - moments[i]) * (place - places[i]) / (places[i + 1] - places[i]);
  }

  get last() {
    return this.place(this.moments.at(-1));
  }

  // The narrowest view, as a distance between places.
  get least() {
    return this.folded ? 4 : 2000;
  }

  // Shows the run between two places, corrected so that the view is neither too narrow nor too wide and
  // does not leave the run.
  show(from, to) {
    const most = Math.max(this.last * 1.04, this.least);
    const width = Math.min(Math.max(to - from, this.least), most * 1.02);
    const middle = (from + to) / 2;
    from = middle - width / 2;
    from = Math.min(Math.max(from, -width * 0.5), Math.max(this.last - width * 0.5, -0.01 * most));
    if (width >= most) from = -0.01 * most;
    this.from = from;
    this.to = from + width;
  }

  showAll() {
    this.show(-0.01 * this.last, this.last * 1.03);
  }

  zoom(factor, at) {
    this.show(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }

  pan(share) {
    const by = (this.to - this.from) * share;
    this.show(this.from + by, this.to + by);
  }

  // Switches to the other scale, with the same times in view.
  toggle() {
    const [from, to] = [this.time(this.from), this.time(this.to)];
    this.folded = !this.folded;
    this.show(this.place(from), this.place(to));
  }

  // Times to label on the axis, at places about `pixels` apart: round numbers if time is to scale.
  ticks(width, pixels = 115) {
    const ticks = [];
    if (this.folded) {
      let last = -1;
      for (let x = pixels / 2; x < width; x += pixels) {
        const place = this.from + (this.to - this.from) * x / width;
        // Label the nearest moment, so that the time is that of an event.
        let i = Math.min(lowerBound(this.places, place), this.places.length - 1);
        if (i > 0 && place - this.places[i - 1] < this.places[i] - place) i--;
        if (i === last || place < 0) continue;
        last = i;
        ticks.push(this.moments[i]);
      }
      return ticks;
    }
    const raw = (this.to - this.from) * pixels / width;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((f) => f * power).find((f) => f >= raw);
    for (let t = Math.max(0, Math.ceil(this.from / step) * step); t < this.to; t += step) ticks.push(t);
    return ticks;
  }
}

// A time in nanoseconds, as seconds with microseconds.
const seconds = (at) => (at / 1e9).toFixed(6);

// A duration in nanoseconds, in a suitable unit.
function span(ns) {
  if (ns >= 1e9) return `${(ns / 1e9).toFixed(2)} s`;
  if (ns >= 1e6) return `${(ns / 1e6).toFixed(ns >= 1e8 ? 0 : 1)} ms`;
  return `${(ns / 1e3).toFixed(ns >= 1e5 ? 0 : 1)} µs`;
}
