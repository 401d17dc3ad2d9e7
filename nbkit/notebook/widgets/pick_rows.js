// The rows of the picker, without a page: which pass the boxes, how many each box would leave, which are offers of one
// model, and their order. `boxes` is what the person has set; see `newBoxes` of pick.js.

const OTHERS = { vendor: 1, provider: 2, chat: 4, deprecated: 8 }; // what may keep a row out, a bit each; 16 is all else

class Rows {
  constructor(header, buffer) {
    const bytes = buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength);
    const codes = new (header.width === 2 ? Uint16Array : Uint32Array)(bytes);
    const columns = {};
    Object.entries(header.columns).forEach(([name, values], place) => {
      columns[name] = { values, codes: codes.subarray(place * header.rows, (place + 1) * header.rows) };
    });
    Object.assign(this, { columns, count: header.rows, titles: header.titles, flagNames: header.flags, starred: header.starred, recent: header.recent });
    this.searcher = new Searcher(columns, header.flags, header.language, header.weights, Float64Array.from(columns.own.codes, (code) => columns.own.values[code]));
    this.places = new Map(Array.from({ length: this.count }, (_, row) => [this.id(row), row]));
    const first = [...header.starred, ...header.recent].map((id) => this.places.get(id)).filter((row) => row !== undefined);
    this.usual = [...new Set([...first, ...Array.from({ length: this.count }, (_, row) => row)])];
    this.byGroup = Uint32Array.from(this.usual).sort((a, b) => columns.group.codes[a] - columns.group.codes[b]);
  }

  get(name, row) { return this.columns[name].values[this.columns[name].codes[row]]; }

  id(row) { return this.get("id", row) ?? `${this.get("provider", row)}/${this.get("model", row)}`; }

  // A price as `format_price` of nbkit.billing.money writes it.
  write(usd) {
    if (usd === null || usd === undefined) return "–";
    const text = usd.toFixed(usd > 0 ? Math.max(2, 3 - Math.floor(Math.log10(usd))) : 2);
    return `$${text.replace(/(\.\d\d\d*?)0+$/, "$1").replace(/\B(?=(\d{3})+\.)/g, ",")}`;
  }

  has(flag, row) { return Boolean(this.get("flags", row) & (1 << this.flagNames.indexOf(flag))); }

  // For each row the bits of what keeps it out.
  judge(boxes) {
    const bits = (names) => names.reduce((sum, name) => sum | (1 << this.flagNames.indexOf(name)), 0);
    const [wanted, chat, old] = [bits(boxes.flags), bits(["chat"]), bits(["deprecated"])];
    const among = (name) => this.columns[name].values.map((value) => !boxes[name].length || boxes[name].includes(value));
    const [vendors, providers] = [among("vendor"), among("provider")];
    const only = boxes.only && new Set(this[boxes.only]);
    return this.searcher.flags.map((flags, row) => {
      let out = vendors[this.columns.vendor.codes[row]] ? 0 : OTHERS.vendor;
      if (!providers[this.columns.provider.codes[row]]) out |= OTHERS.provider;
      if (boxes.chat && !(flags & chat)) out |= OTHERS.chat;
      if (boxes.deprecated && flags & old) out |= OTHERS.deprecated;
      if ((flags & wanted) !== wanted || (boxes.most !== null && !(this.searcher.output[row] <= boxes.most)) || (boxes.context && !(this.searcher.context[row] >= boxes.context))
        || (boxes.since && !(-this.searcher.age[row] >= boxes.since)) || (only && !only.has(this.id(row)))) out |= 16;
      return out;
    });
  }

  // {groups: [{row, offers}], count, note, tally}: the models in order, each with its first offer and all of them.
  find(boxes) {
    const out = this.judge(boxes);
    const passed = mark(this.count, (row) => out[row] === 0);
    const match = boxes.text.trim() ? this.searcher.search(boxes.text, passed) : null;
    const rows = match ? match.rows : this.usual.filter((row) => passed[row]);
    const groups = new Map();
    for (const row of rows) {
      const group = this.columns.group.codes[row];
      if (groups.has(group)) groups.get(group).offers.push(row);
      else groups.set(group, { row, offers: [row] });
    }
    let note = "";
    if (match) note = rows.length ? match.corrections.map((pair) => pair.join(" read as ")).join(", ") : passed.includes(1) ? match.why() : "";
    return { groups: this.sort([...groups.values()], boxes), count: rows.length, note, tally: () => this.tally(out, match?.held) };
  }

  // The cheapest price of input that is not 0: 0 is free, or a plan.
  cheapest(group) { return group.offers.reduce((least, row) => (this.searcher.input[row] > 0 ? Math.min(least, this.searcher.input[row]) : least), Infinity); }

  // Offers, cheapest first; those of a plan, and of unknown price, come last.
  rank(offers) {
    const cost = (row) => this.searcher.blended[row];
    const late = (row) => (Number.isNaN(cost(row)) ? 2 : Number(cost(row) === 0));
    return [...offers].sort((a, b) => late(a) - late(b) || cost(a) - cost(b) || 0);
  }

  sort(groups, { sort, turn: sign }) {
    if (!sort) return groups;
    const key = ({ row, offers }) => (sort === "offers" ? offers.length : sort === "name" ? this.get("name", row)?.toLowerCase() : this.get(sort, row));
    // a price of 0 is most often that of a plan; it comes after the others, and the unknown comes last
    const late = (value) => (value === null || value === undefined ? 2 : value === 0 && sign > 0 ? 1 : 0);
    const keyed = groups.map((group) => [key(group), group]);
    keyed.sort(([a], [b]) => late(a) - late(b) || (a < b ? -sign : a > b ? sign : 0));
    return keyed.map(([, group]) => group);
  }

  // How many models each box would leave: {flags: [by bit], vendor: Map, provider: Map, chat, deprecated}.
  tally(out, held) {
    const counts = { flags: this.flagNames.map(() => 0), vendor: new Map(), provider: new Map(), chat: 0, deprecated: 0 };
    const seen = { flags: this.flagNames.map(() => -1), vendor: [], provider: [], chat: -1, deprecated: -1 };
    for (const row of this.byGroup) {
      if (held && !held[row]) continue;
      const [bits, group] = [out[row], this.columns.group.codes[row]];
      if (!bits) for (let bit = 0; bit < seen.flags.length; bit++) {
        if (this.searcher.flags[row] & (1 << bit) && seen.flags[bit] !== group) { seen.flags[bit] = group; counts.flags[bit]++; }
      }
      for (const name of ["vendor", "provider"]) {
        const code = this.columns[name].codes[row];
        if (bits & ~OTHERS[name] || seen[name][code] === group) continue;
        seen[name][code] = group;
        counts[name].set(code, (counts[name].get(code) ?? 0) + 1);
      }
      for (const name of ["chat", "deprecated"]) if (bits === OTHERS[name] && seen[name] !== group) { seen[name] = group; counts[name]++; }
    }
    return counts;
  }
}

export { Rows };
