// The search of the picker: `nbkit.search`, in the browser. Pure: it knows no widget and no page.
//
// It does what these three do, whose texts say why: choose/search_words.py (`readQuery`), providers/search_index.py
// (`WordIndex`) and choose/search.py (`Searcher`). The words of the language come from there, with the index; a test
// holds both to the same first twenty rows.
//
// A column is {values, codes}: its distinct values, and for each row the place of its own among them.

const WORD = /[\p{L}\p{N}]+(?:\.\d+)*/gu;
const VERSION = /(?<![\p{L}\p{N}_.])(\d{1,2})-(\d{1,2})(?![\p{L}\p{N}_.])/gu;
const NUMBERED = /^(\p{L}+)(\d+(?:\.\d+)*[\p{L}\p{N}]*)$/u;
const [BEGINS, OF_VERSION, INSIDE, HOST, TYPO, FAR, HINT] = [0.8, 0.6, 0.6, 0.75, 0.7, 0.5, 0.1];

const splitWords = (text) => text.toLowerCase().replace(VERSION, "$1.$2").match(WORD) ?? [];
const splitNumber = (word) => NUMBERED.exec(word)?.slice(1);
function splitName(name) {
  const words = splitWords(name);
  return new Set([...words, ...words.flatMap((word) => splitNumber(word) ?? [])]);
}

// The letters too much, too few, other ones, or neighbors that changed places; `most` + 1 for any more of them.
function countTypos(one, other, most) {
  if (Math.abs(one.length - other.length) > most) return most + 1;
  let before = [];
  let last = Array.from({ length: other.length + 1 }, (_, place) => place);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (one[i - 1] !== other[j - 1]));
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    if (Math.min(...row) > most) return most + 1;
    [before, last] = [last, row];
  }
  return last[other.length];
}

function matchTypos(word, words) {
  const allowed = word.length < 3 || /^\d/.test(word) ? 0 : word.length < 8 ? 1 : 2;
  const near = [];
  for (const one of allowed ? words : []) {
    const typos = countTypos(word, one, allowed);
    if (typos <= allowed) near.push([one, typos]);
  }
  near.sort((a, b) => a[1] - b[1]);
  return new Map(near.map(([one, typos]) => [one, typos < 2 && word.length > 4 ? TYPO : FAR]));
}

function readQuery(text, language, known) {
  const { terms, orders, abilities } = language;
  const all = (source) => new RegExp(source, "g");
  const whole = (source) => new RegExp(`^(?:${source})$`);
  const query = { words: [], unwanted: [], abilities: [], prices: [], context: 0, providers: [], free: false, order: "", readAs: [] };
  text = text.toLowerCase();
  for (const [phrase, word] of language.phrases) text = text.replace(all(phrase), word);
  query.providers = [...text.matchAll(all(language.provider))].map((match) => match[1].replace(/[.,]+$/, ""));
  text = text.replace(all(language.provider), " ");
  query.prices = [...text.matchAll(all(language.price))].map((match) => [match[1] || match[3] || "blended", Number(match[2])]);
  text = text.replace(all(language.price), " ");
  const ignored = whole(language.ignored);
  const length = whole(language.length);

  function add(typed, wanted) {
    const word = terms.includes(typed) || known(typed) ? typed : correctTerm(typed, terms);
    if (word !== typed) query.readAs.push([typed, word]);
    const size = length.exec(word);
    if (Object.hasOwn(abilities, word)) query.abilities.push([word, wanted]);
    else if (!wanted) query.unwanted.push(...splitWords(word));
    else if (Object.hasOwn(orders, word)) query.order = orders[word];
    else if (word === "free") query.free = true;
    else if (size) query.context = Math.max(query.context, Number(size[1]) * (size[2] === "k" ? 1e3 : 1e6));
    else query.words.push(...splitWords(word));
  }

  let wanted = true;
  for (const part of text.split(/[\s,;]+/)) {
    const bare = part.replace(/^[?!()"']+|[?!()"']+$/g, "");
    const word = part.replace(/^non-/, "").replace(/^-/, "").replace(/^[?!()"']+|[?!()"']+$/g, "");
    if (language.not.includes(word)) wanted = false;
    else if (word && !ignored.test(word)) {
      add(word, wanted && word === bare);
      wanted = true;
    }
  }
  return query;
}

function correctTerm(word, terms) {
  const near = word.length < 4 ? [] : terms.filter((term) => term.length > 3 && countTypos(word, term, 1) <= 1);
  return near.sort()[0] ?? word;
}

class WordIndex {
  // `weights`: what a word of each column counts. `own`: for each row, how much it is its vendor's own offer.
  constructor(columns, weights, own) {
    this.columns = columns;
    this.own = own;
    this.held = new Map(); // word -> {rows: how many hold it, at: [[column, code, weight]]}
    this.hosts = new Set([...columns.vendor.values, ...columns.provider.values]);
    this.caches = { near: new Map(), typos: new Map() };
    for (const [name, weight] of Object.entries(weights)) this.add(name, weight);
    const lengths = columns.name.values.map((text) => splitName((text ?? "").split("/").at(-1)).size);
    this.lengths = columns.name.codes.reduce((all, code, row) => { all[row] = lengths[code]; return all; }, new Uint16Array(own.length));
  }

  add(name, weight) {
    const { values, codes } = this.columns[name];
    const rows = new Uint32Array(values.length);
    for (const code of codes) rows[code]++;
    values.forEach((text, code) => {
      if (text === null) return;
      const cut = text.lastIndexOf("/");
      const words = new Map();
      for (const word of splitName(text.slice(0, Math.max(cut, 0)))) words.set(word, HOST);
      for (const word of splitName(text.slice(cut + 1))) words.set(word, weight);
      if (name === "provider" || name === "vendor") words.set(text, 1);
      for (const [word, counts] of words) {
        if (!this.held.has(word)) this.held.set(word, { rows: 0, at: [] });
        const held = this.held.get(word);
        held.rows += rows[code];
        held.at.push([name, code, counts]);
      }
    });
  }

  holds(word) {
    const parts = splitNumber(word);
    return this.near(word).size > 0 || Boolean(parts?.every((part) => this.near(part).size));
  }

  correct(word) {
    let best = [word, 0];
    if (!this.holds(word)) for (const pair of this.typos(word)) if (pair[1] > best[1]) best = pair;
    return best[0];
  }

  hasWord(word) {
    return this.spread(this.held.has(word) ? new Map([[word, 1]]) : new Map()).map((fit) => fit === 1);
  }

  keep(cache, word, make) {
    if (cache.size > 256) cache.clear();
    if (!cache.has(word)) cache.set(word, make(word));
    return cache.get(word);
  }

  near(word) { return this.keep(this.caches.near, word, (one) => this.matchParts(one)); }

  typos(word) { return this.keep(this.caches.typos, word, (one) => this.rankTypos(one)); }

  matchParts(word) {
    const near = new Map();
    const number = /^\d/.test(word);
    for (const one of this.held.keys()) {
      if (one === word) near.set(one, 1);
      else if (number) { if (one.startsWith(`${word}.`) || ["b", "m", "k"].some((unit) => one === word + unit)) near.set(one, OF_VERSION); }
      else if (one.startsWith(word)) near.set(one, BEGINS);
      else if (word.length > 3 && one.includes(word)) near.set(one, INSIDE);
    }
    return near;
  }

  rankTypos(word) {
    const near = matchTypos(word, this.held.keys());
    let likeliest;
    for (const one of near.keys()) {
      const better = likeliest === undefined ? 1 : near.get(one) - near.get(likeliest) || this.held.get(one).rows - this.held.get(likeliest).rows;
      if (better > 0) likeliest = one;
    }
    for (const [one, fit] of near) if (one !== likeliest) near.set(one, fit - 0.1);
    return near;
  }

  spread(words) {
    const columns = {};
    for (const [word, fit] of words) for (const [name, code, weight] of this.held.get(word).at) {
      columns[name] ??= new Float64Array(this.columns[name].values.length);
      columns[name][code] = Math.max(columns[name][code], fit * weight);
    }
    const fits = new Float64Array(this.own.length);
    for (const [name, fit] of Object.entries(columns)) {
      const { codes } = this.columns[name];
      for (let row = 0; row < fits.length; row++) if (fit[codes[row]] > fits[row]) fits[row] = fit[codes[row]];
    }
    return fits;
  }

  fit(word, typos) {
    typos ||= !this.holds(word);
    const near = new Map([...(typos ? this.typos(word) : []), ...this.near(word)]);
    const fits = this.spread(near);
    const parts = splitNumber(word);
    if (!parts || parts[0].length < 3) return fits;
    const [one, other] = parts.map((part) => this.spread(this.near(part).size || !typos ? this.near(part) : this.typos(part)));
    return fits.map((fit, row) => Math.max(fit, Math.min(one[row], other[row])));
  }
}

// Half to even, as numpy does.
function roundTenths(value) {
  const tenths = value * 10;
  const near = Math.round(tenths);
  return (Math.abs(tenths % 1) === 0.5 && near % 2 ? near - 1 : near) / 10;
}

// A mask: 1 for each row that passes the test. `Uint8Array.from` with a function takes ten times as long.
function mark(count, test) {
  const mask = new Uint8Array(count);
  for (let row = 0; row < count; row++) if (test(row)) mask[row] = 1;
  return mask;
}

const compare = (one, other) => (Number.isNaN(one) ? 1 : 0) - (Number.isNaN(other) ? 1 : 0) || (one < other ? -1 : one > other ? 1 : 0);

class Searcher {
  // `columns`: besides the texts also flags (numbers, of which bit n is flagNames[n]), input, output, context and
  // released (days); null where unknown. `language`: what search_words.describe_language returns.
  constructor(columns, flagNames, language, weights, own) {
    Object.assign(this, { columns, flagNames, language, own });
    this.index = new WordIndex(columns, weights, own);
    const numbers = (name) => Float64Array.from(columns[name].codes, (code) => columns[name].values[code] ?? NaN);
    this.input = numbers("input");
    this.output = numbers("output");
    this.context = numbers("context");
    this.age = numbers("released").map((day) => (Number.isNaN(day) ? Infinity : -day));
    this.flags = Uint32Array.from(numbers("flags"));
    this.blended = this.input.map((input, row) => (3 * input + this.output[row]) / 4);
    this.deprecated = this.flagged(["deprecated"]);
  }

  // Marks the rows that have any of the flags, or all.
  flagged(names, every = false) {
    const bits = names.reduce((sum, name) => sum | (1 << this.flagNames.indexOf(name)), 0);
    return mark(this.flags.length, (row) => (every ? (this.flags[row] & bits) === bits : this.flags[row] & bits));
  }

  // The rows of the mask `among` that fit, best first; `held`, the mask of all that fit; what was corrected; and
  // `why`, a function that says why none fits.
  search(text, among) {
    const query = readQuery(text, this.language, (word) => this.index.holds(word));
    const filters = this.filter(query);
    const chosen = (without) => filters.reduce((all, [name, mask]) => (name === without ? all : mark(all.length, (row) => all[row] && mask[row])), among);
    const passed = chosen();
    let fits;
    for (const typos of [false, true]) {
      fits = new Map(query.words.map((word) => [word, this.index.fit(word, typos)]));
      if (passed.some((inside, row) => inside && holdAll(fits, row))) break;
    }
    const held = mark(among.length, (row) => filters.every(([, mask]) => mask[row]) && holdAll(fits, row));
    const rows = [];
    held.forEach((fit, row) => { if (fit && among[row]) rows.push(row); });
    const taken = [...query.readAs, ...[...fits.keys()].map((word) => [word, this.index.correct(word)])];
    return {
      rows: this.order(rows, query, fits),
      held,
      corrections: taken.filter(([typed, word]) => typed !== word),
      why: () => explain(fits, filters, among, chosen),
    };
  }

  filter({ abilities, free, prices, context, providers, unwanted }) {
    const invert = (mask) => mask.map((passed) => !passed);
    const filters = abilities.map(([word, wanted]) => {
      const able = this.flagged(this.language.abilities[word]);
      return wanted ? [word, able] : [`no ${word}`, invert(able)];
    });
    if (free) filters.push(["free", mark(this.flags.length, (row) => this.input[row] === 0 && this.output[row] === 0)]);
    for (const [which, most] of prices) filters.push([`${which === "blended" ? "" : `${which} `}< $${most}`, mark(this.flags.length, (row) => this[which][row] <= most)]);
    const size = context >= 1e6 ? `${context / 1e6}m` : `${context / 1e3}k`;
    if (context) filters.push([size, mark(this.flags.length, (row) => this.context[row] >= context)]);
    for (const word of providers) filters.push([`on ${word}`, this.serve(word)]);
    for (const word of unwanted) filters.push([`no ${word}`, invert(Uint8Array.from(this.index.hasWord(word)))]);
    return filters;
  }

  // Marks the rows of the provider of that id, else of those that have the word in it, else with a typo.
  serve(word) {
    const { values, codes } = this.columns.provider;
    const parts = values.map((id) => (id === null ? [] : [...splitName(id)]));
    let found = values.map((id) => id === word);
    if (!found.includes(true)) found = parts.map((words) => words.some((part) => part.startsWith(word)));
    if (!found.includes(true)) found = values.map((id) => id !== null && matchTypos(word, [id]).size > 0);
    return mark(codes.length, (row) => found[codes[row]]);
  }

  order(rows, query, fits) {
    const words = [...fits.keys()];
    const hinting = query.words.length && !query.order ? query.abilities.filter(([, wanted]) => wanted) : [];
    const hints = hinting.map(([word]) => this.index.hasWord(word));
    const named = words.filter((word) => !this.index.hosts.has(word)).length;
    const talks = this.flagged(["text_in", "text_out"], true);
    const keys = rows.map((row) => {
      let sum = 0;
      for (const fit of fits.values()) sum += fit[row];
      const hint = hints.reduce((all, has) => all + (has[row] ? HINT : 0), 0);
      const quality = hint + (words.length ? sum / words.length : 1);
      const brief = named && quality >= BEGINS ? 8 / (1 + Math.max(this.index.lengths[row] - named, 0)) : 0;
      const score = 80 * Math.min(quality, 1) + 12 * (this.own[row] > 0) + brief;
      const old = this.deprecated[row];
      if (!query.order) return [old, -score - 100 * hint, this.age[row], row];
      if (query.order === "newest") return [old, -roundTenths(quality), this.age[row], -score, row];
      const price = this.blended[row];
      const unusual = (Number.isNaN(price) ? 2 : Number(price === 0)) + 3 * !talks[row];
      return [old, -roundTenths(quality), unusual, query.order === "cheapest" ? price : -price, -score, row];
    });
    keys.sort((one, other) => {
      for (let place = 0; place < one.length; place++) {
        const sign = compare(one[place], other[place]);
        if (sign) return sign;
      }
      return 0;
    });
    return keys.map((key) => key.at(-1));
  }
}

function holdAll(fits, row) {
  for (const fit of fits.values()) if (fit[row] <= 0) return false;
  return true;
}

function explain(fits, filters, among, chosen) {
  const any = (mask) => mask.some((value, row) => value && among[row]);
  for (const [word, fit] of fits) if (!any(fit)) return `no name contains '${word}' or a word like it`;
  for (const [name, mask] of filters) if (!any(mask)) return `no model fits '${name}'`;
  const parts = [...fits.keys(), ...filters.map(([name]) => name)].map((name) => {
    const others = new Map([...fits].filter(([word]) => word !== name));
    return [name, chosen(name).reduce((sum, inside, row) => sum + (inside && holdAll(others, row) ? 1 : 0), 0)];
  });
  const most = parts.reduce((best, part) => (part[1] > best[1] ? part : best), ["", 0]);
  const text = `no model fits all of ${parts.map(([name]) => name).join(", ")}`;
  return most[1] ? `${text}; without '${most[0]}' there are ${most[1].toLocaleString("en-US")}` : text;
}
