'use strict';
const run = JSON.parse(document.getElementById('run').textContent);
const page = document.getElementById('page');
page.textContent = '';
const COLOURS = ['#1565c0', '#6a3fb5', '#00838f', '#558b2f', '#8d6e63', '#37474f'];
const STATES = { established: '#2e7d32', handshake: '#90a4ae', connecting: '#b0bec5', closed: '#78909c',
  dead: '#111', offered: '#90a4ae', active: '#1e88e5', paused: '#ab8a00', complete: '#2e7d32',
  ended: '#bf5b00', connected: '#7cb342' };
const colour = host => COLOURS[host % COLOURS.length];
const el = (name, attributes, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
};
const svg = (name, attributes, ...children) => {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const time = us => us >= 10e6 ? (us / 1e6).toFixed(us >= 100e6 ? 1 : 2) + ' s'
  : us >= 1e6 ? (us / 1e6).toFixed(3) + ' s' : us >= 1000 ? (us / 1000).toFixed(1) + ' ms' : us + ' µs';
const size = n => n >= 1e6 ? (n / 1e6).toFixed(2) + ' MB' : n >= 10000 ? (n / 1000).toFixed(0) + ' kB'
  : n >= 1000 ? (n / 1000).toFixed(1) + ' kB' : n + ' B';

// What a person must see first.
const [invariant, detail, brokenAt] = run.broken || [];
const end = run.broken ? brokenAt : run.virtual_us;
{
  const card = el('section', { class: 'card verdict' + (run.broken ? ' fail' : '') });
  if (run.broken) {
    card.append(el('h1', {}, `FAILED after ${time(brokenAt)}: ${invariant}`));
    card.append(el('div', { class: 'detail' }, detail));
    const why = el('ul', { class: 'why' });
    const line = (at, sort, text) => why.append(el('li', {}, el('b', {}, time(at)),
      el('span', { class: 'chip ' + sort }, sort), text));
    const where = host => host === null || host === undefined ? '' : run.hosts[host] + ': ';
    const before = run.faults.filter(fault => fault.from <= brokenAt).slice(-3);
    for (const fault of before) line(fault.from, 'fault', where(fault.host) + fault.text +
      (fault.until > fault.from ? ` (until ${time(fault.until)})` : ''));
    for (const mark of run.rows.filter(row => row.row === 'mark' && row.sort === 'event').slice(-3))
      line(mark.at, 'event', where(mark.host) + mark.text);
    line(brokenAt, 'broken', invariant);
    const newest = new Map();
    for (const band of run.bands) if (band.of === 'connection') newest.set(band.host, band);
    const stood = [...newest].map(([host, band]) => `${run.hosts[host]} ${band.name} since ${time(band.from)}`);
    why.append(el('li', {}, el('b', {}, 'then'), stood.join(' · ')));
    const befell = Object.entries(run.befell).map(([fate, count]) => `${count} ${fate}`);
    if (befell.length) why.append(el('li', {}, el('b', {}, 'on the way'), befell.join(' · ')));
    card.append(el('h2', {}, 'The last things before it'), why);
  } else {
    card.append(el('h1', {}, `Passed: every invariant held for ${time(run.virtual_us)} of virtual time`));
  }
  const facts = el('div', { class: 'facts' });
  facts.append(`tier ${run.tier} · seed ${run.seed} · commit ${run.commit} · ${run.steps} steps · ` +
    `${run.messages} ${run.tier === 't0' ? 'messages' : 'datagrams'}, ${run.lost} lost` +
    (run.again ? `, ${run.again} with bytes sent again` : '') + ' · hashes ',
    el('code', {}, run.semantic_hash), ' / ', el('code', {}, run.wire_hash));
  card.append(facts);
  page.append(card);
}

// The plots, one above the other over one axis of time.
const WIDTH = 1200, LEFT = 118, RIGHT = 12, INNER = WIDTH - LEFT - RIGHT;
const place = at => {
  const knots = run.axis.knots;
  let i = 1;
  while (i < knots.length - 1 && at > knots[i][0]) i++;
  const [t0, x0] = knots[i - 1], [t1, x1] = knots[i];
  const into = t1 > t0 ? Math.min(1, Math.max(0, (at - t0) / (t1 - t0))) : 1;
  return LEFT + INNER * (x0 + (x1 - x0) * into);
};
const moment = x => {
  const knots = run.axis.knots, at = Math.min(1, Math.max(0, (x - LEFT) / INNER));
  let i = 1;
  while (i < knots.length - 1 && at > knots[i][1]) i++;
  const [t0, x0] = knots[i - 1], [t1, x1] = knots[i];
  return Math.round(t0 + (t1 - t0) * (x1 > x0 ? (at - x0) / (x1 - x0) : 1));
};
const tip = el('div', { class: 'tip-box' });
document.body.append(tip);
const plots = svg('svg', {});
let y = 4;
const label = (text, at, dim) => plots.append(svg('text', { x: LEFT - 8, y: at, 'text-anchor': 'end',
  class: dim ? 'dim' : '' }, text));
const overlays = [];

// Faults: lasting ones as bars, moments as marks, with their names where there is room.
{
  const top = y, rows = [];
  for (const fault of run.faults) {
    const x = place(fault.from), right = Math.max(place(fault.until), x + 3);
    const text = (fault.host === null ? '' : run.hosts[fault.host] + ': ') + fault.text;
    const needs = Math.max(right, x + 8 + text.length * 5.6);
    let row = rows.findIndex(used => used < x);
    if (row < 0) { if (rows.length >= 7) row = 6; else { row = rows.length; } }
    const flip = needs > WIDTH - RIGHT;
    rows[row] = flip ? WIDTH : needs;
    const at = top + row * 17;
    overlays.push({ x, right, fault });
    const bar = svg('g', {}, svg('rect', { x, y: at, width: right - x, height: 13, rx: 2,
      fill: '#e08600' }), svg('title', {}, `${text} at ${time(fault.from)}`));
    plots.append(bar, svg('text', { x: flip ? x - 4 : right + 4, y: at + 10.5,
      'text-anchor': flip ? 'end' : 'start' }, text.length > 70 ? text.slice(0, 69) + '…' : text));
  }
  const height = Math.max(1, rows.length) * 17;
  label('faults', top + 11);
  if (!rows.length) plots.append(svg('text', { x: LEFT + 4, y: top + 11, class: 'dim' }, 'none'));
  y = top + height + 8;
}
const plotTop = y;

// States of connections and transfers.
{
  const things = new Map();
  for (const band of run.bands) {
    const key = band.host + '/' + band.of;
    if (!things.has(key)) things.set(key, []);
    things.get(key).push(band);
  }
  const keys = [...things.keys()].sort((a, b) => {
    const [ha, ta] = a.split('/'), [hb, tb] = b.split('/');
    const of = text => text === 'connection' ? 0 : 1;
    return of(ta) - of(tb) || ta.localeCompare(tb, 'en', { numeric: true }) || ha - hb;
  });
  for (const key of keys.slice(0, 14)) {
    const bands = things.get(key);
    const plain = bands[0].of.replace('transfer ', 't');
    label(`${run.hosts[bands[0].host]} ${plain === 'connection' ? '' : plain}`, y + 11);
    for (const band of bands) {
      const x = place(band.from), width = Math.max(place(band.until) - x, 1.5);
      const name = band.name.split(':')[0];
      const bad = band.name.includes(':');
      const node = svg('g', { class: 'band' }, svg('rect', { x, y, width, height: 14,
        fill: bad ? '#b71c1c' : STATES[name] || '#607d8b' }),
        svg('title', {}, `${band.of}: ${band.name}, from ${time(band.from)} to ${time(band.until)}`));
      if (width > band.name.length * 6 + 8) node.append(svg('text', { x: x + 5, y: y + 11 }, band.name));
      plots.append(node);
    }
    y += 17;
  }
  if (keys.length > 14) {
    label('…', y + 9, true);
    plots.append(svg('text', { x: LEFT + 4, y: y + 9, class: 'dim' }, `${keys.length - 14} more transfers`));
    y += 15;
  }
  y += 6;
}

// Bytes a second, up for the first host and so on; what was sent again in another colour.
const plot = (of, title, unit, height) => {
  const series = run.series.filter(one => one.of === of && one.values.some(value => value > 0));
  if (!series.length) return;
  const most = Math.max(...series.flatMap(one => one.values));
  label(title, y + 12);
  label(`to ${size(most)}${unit}`, y + 26, true);
  plots.append(svg('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: y + height, y2: y + height, stroke: '#d9dfe6' }));
  const path = (one, fill, line) => {
    let d = `M${LEFT} ${y + height}`;
    one.values.forEach((value, i) => {
      const left = LEFT + INNER * i / one.values.length;
      const right = LEFT + INNER * (i + 1) / one.values.length;
      const at = y + height - (height - 3) * value / most;
      d += `L${left.toFixed(1)} ${at.toFixed(1)}L${right.toFixed(1)} ${at.toFixed(1)}`;
    });
    d += `L${WIDTH - RIGHT} ${y + height}`;
    plots.append(svg('path', { d, fill, 'fill-opacity': line ? .22 : .8, stroke: line ? fill : 'none',
      'stroke-width': 1.3 }));
  };
  for (const one of series) path(one, colour(one.host), true);
  if (of === 'rate') for (const one of run.series.filter(one => one.of === 'again')) path(one, '#d81b60', false);
  y += height + 10;
};
plot('rate', 'sent', '/s', 78);
plot('flight', 'in flight', '', 56);
{
  const lost = run.series.filter(one => one.of === 'lost' && one.values.some(value => value > 0));
  if (lost.length) {
    label('lost', y + 11);
    const most = Math.max(...lost.flatMap(one => one.values));
    for (const one of lost) one.values.forEach((value, i) => {
      if (!value) return;
      const height = 4 + 12 * value / most;
      const x = LEFT + INNER * (i + (one.host % 2 ? .5 : .08)) / one.values.length;
      plots.append(svg('rect', { x, y: y + 16 - height, width: Math.max(1.6, INNER / one.values.length * .42),
        height, fill: '#c62828' }));
    });
    y += 22;
  }
}
const plotBottom = y;

// The axis, gaps that are drawn narrow, faults and the failure over everything.
{
  let labelled = 0;
  for (const [from, until] of run.axis.gaps) {
    const x = place(from), right = place(until);
    for (let at = x; at < right; at += 5) plots.prepend(svg('line', { x1: at, x2: at, y1: plotTop,
      y2: plotBottom, stroke: '#aab6c3', 'stroke-width': .8 }));
    const middle = (x + right) / 2, text = '⇔ ' + time(until - from);
    if (middle - text.length * 3 > labelled) {
      plots.append(svg('text', { x: middle, y: plotBottom + 27, 'text-anchor': 'middle', class: 'dim' }, text));
      labelled = middle + text.length * 3 + 4;
    }
  }
  let last = -100;
  const ticks = [];
  for (let i = 0; i <= 12; i++) ticks.push(LEFT + INNER * i / 12);
  for (const x of ticks) {
    const at = moment(x);
    if (run.axis.gaps.some(([from, until]) => at > from && at < until) || x - last < 60) continue;
    last = x;
    plots.append(svg('line', { x1: x, x2: x, y1: plotTop, y2: plotBottom, stroke: '#e7ecf1' }),
      svg('text', { x, y: plotBottom + 13, 'text-anchor': x > WIDTH - 40 ? 'end' : 'middle', class: 'dim' },
        time(at)));
  }
  for (const { x, right, fault } of overlays) plots.prepend(svg('rect', { x, y: plotTop,
    width: Math.max(right - x, 1.2), height: plotBottom - plotTop, fill: '#e08600',
    'fill-opacity': fault.until > fault.from ? .13 : .75 }));
  if (run.broken) {
    const x = place(brokenAt);
    plots.append(svg('line', { x1: x, x2: x, y1: plotTop - 6, y2: plotBottom + 2, stroke: '#c62828',
      'stroke-width': 2.5 }), svg('text', { x: x - 5, y: plotBottom - 4, 'text-anchor': 'end',
      style: 'fill:#c62828;font-weight:700' }, '✖ ' + invariant));
  }
  y = plotBottom + 34;
}
const cursor = svg('line', { x1: 0, x2: 0, y1: plotTop, y2: plotBottom, stroke: '#1e88e5', visibility: 'hidden' });
plots.append(cursor);
plots.setAttribute('viewBox', `0 0 ${WIDTH} ${y}`);
{
  const card = el('section', { class: 'card' }, el('h2', {}, 'Over virtual time'), plots);
  const legend = el('div', { class: 'legend' });
  run.hosts.forEach((name, host) => legend.append(el('i', { style: `background:${colour(host)}` }), name));
  if (run.again) legend.append(el('i', { style: 'background:#d81b60' }), 'sent again');
  legend.append(el('i', { style: 'background:#e08600' }), 'fault',
    ' — striped: nothing happens, drawn narrow; click to find the moment below');
  if (run.faults_omitted) legend.append(` — ${run.faults_omitted} later faults are not drawn`);
  card.append(legend);
  page.append(card);
}

// The sequence: one column for each host, arrows between them.
const rows = [];
{
  const hosts = run.hosts.length;
  const table = el('table', {});
  const head = el('tr', {}, el('th', { style: 'width:86px' }, 'time'));
  // Host columns with a column for arrows between each pair of neighbours.
  run.hosts.forEach((name, host) => {
    head.append(el('th', { style: `color:${colour(host)};width:${hosts > 2 ? 15 : 24}%` }, name));
    if (host < hosts - 1) head.append(el('th', {}));
  });
  table.append(head);
  const columns = 2 * hosts - 1;
  let before = 0;
  const body = el('tbody', {});
  for (const row of run.rows) {
    if (row.row === 'omitted') {
      body.append(el('tr', { class: 'gap' }, el('td', {}), el('td', { colspan: columns },
        `… ${row.count} rows in the middle of this run are left out …`)));
      continue;
    }
    if (row.at - before > 1000000) body.append(el('tr', { class: 'gap' }, el('td', {}),
      el('td', { colspan: columns }, `⇕ ${time(row.at - before)} later`)));
    before = row.row === 'messages' ? row.until : row.at;
    const line = el('tr', {}, el('td', { class: 'time' }, time(row.at)));
    rows.push([row.at, line]);
    body.append(line);
    if (row.row === 'mark') {
      line.className = 'mark ' + row.sort;
      const chip = row.sort === 'event' ? null : el('span', { class: 'chip ' + row.sort },
        row.sort === 'broken' ? '✖ broken' : 'fault');
      if (row.host === null || row.sort === 'broken') {
        line.append(el('td', { colspan: columns }, chip, row.text));
      } else {
        for (let i = 0; i < hosts; i++) {
          const own = i === row.host;
          const first = i === 0;
          // The outer columns are narrow; what is said there runs into the middle.
          if (own && first) { line.append(el('td', { class: 'own right', colspan: 2, title: row.text },
            chip, '● ' + row.text)); if (hosts === 2) line.append(el('td', {})); i += hosts > 2 ? 0 : 1; if (hosts > 2) continue; break; }
          if (own) { line.append(el('td', { class: 'own', title: row.text }, chip, '● ' + row.text)); }
          else line.append(el('td', {}));
          if (i < hosts - 1 && !(i + 1 === row.host && hosts === 2)) line.append(el('td', {}));
          if (i + 1 === row.host && hosts === 2) { line.append(el('td', { class: 'own left', colspan: 2,
            title: row.text }, chip, row.text + ' ●')); break; }
        }
      }
      continue;
    }
    const text = el('span', { class: 'text' });
    text.append(row.kind + (row.count > 1 ? ` × ${row.count}` : '') + (row.bytes ? `, ${size(row.bytes)}` : ''));
    if (row.lost) text.append(el('span', { class: 'lostnote' }, ` · ${row.count > 1 ? row.lost + ' ' : ''}lost`));
    if (row.again) text.append(el('span', { class: 'againnote' },
      ` · ${row.count > 1 ? row.again + ' ' : ''}sent again`));
    const fates = row.fates.filter(fate => fate !== 'lost');
    if (fates.length) text.append(el('span', { class: 'fatenote' }, ' · ' + fates.join(', ')));
    if (row.from === row.to) {
      for (let i = 0; i < hosts; i++) {
        line.append(i === row.from ? el('td', { class: 'own', style: 'text-align:center;color:#66717f;font-size:12px;overflow:visible' }, ...text.childNodes)
          : el('td', {}));
        if (i < hosts - 1) line.append(el('td', {}));
      }
      continue;
    }
    const low = Math.min(row.from, row.to), high = Math.max(row.from, row.to);
    const arrow = el('div', { class: `arrow ${row.to > row.from ? 'right' : 'left'}` +
      (row.lost === row.count ? ' lost' : ''), style: `color:${colour(row.from)}` },
      el('span', { class: 'shaft' }), el('span', { class: 'tip' }), text);
    if (row.lost === row.count) arrow.append(el('span', { class: 'cross' }, '✖'));
    const until = row.until > row.at ? ` to ${time(row.until)}` : '';
    arrow.title = `${time(row.at)}${until}` + (row.arrived ? `, arrived by ${time(row.arrived)}` : ', never arrived');
    for (let i = 0; i < low; i++) line.append(el('td', {}), el('td', {}));
    line.append(el('td', {}), el('td', { colspan: 2 * (high - low) - 1, style: 'padding:0;overflow:visible' }, arrow),
      el('td', {}));
    for (let i = high; i < hosts - 1; i++) line.append(el('td', {}), el('td', {}));
  }
  table.append(body);
  const box = el('div', { id: 'sequence' }, table);
  page.append(el('section', { class: 'card' }, el('h2', {}, 'Message by message' +
    (run.broken ? ' — the end of this list is where it broke' : '')), box));
  if (run.broken) box.scrollTop = box.scrollHeight;
}
page.append(el('section', { class: 'card' }, el('details', {}, el('summary', {}, 'The plan, as it can be replayed'),
  el('pre', {}, JSON.stringify(run.plan, null, 1)))));

// Reading the plots with the pointer.
const where = event => (event.clientX - plots.getBoundingClientRect().left) * WIDTH / plots.clientWidth;
plots.addEventListener('mousemove', event => {
  const x = where(event);
  if (x < LEFT || x > WIDTH - RIGHT) { tip.style.display = 'none'; cursor.setAttribute('visibility', 'hidden'); return; }
  const at = moment(x);
  let part = run.borders.findIndex(border => border > at) - 1;
  if (part < 0) part = run.borders.length - 2;
  let text = time(at);
  for (const one of run.series) {
    const value = one.values[part];
    if (!value) continue;
    const name = { rate: 'sends', again: 'sends again', lost: 'loses', flight: 'in flight' }[one.of];
    text += `\n${run.hosts[one.host]} ${name} ` + (one.of === 'lost' ? value : size(value) + (one.of === 'flight' ? '' : '/s'));
  }
  tip.textContent = text;
  tip.style.display = 'block';
  tip.style.left = Math.min(event.clientX + 14, window.innerWidth - 220) + 'px';
  tip.style.top = event.clientY + 14 + 'px';
  cursor.setAttribute('visibility', 'visible');
  cursor.setAttribute('x1', x); cursor.setAttribute('x2', x);
});
plots.addEventListener('mouseleave', () => { tip.style.display = 'none'; cursor.setAttribute('visibility', 'hidden'); });
plots.addEventListener('click', event => {
  const at = moment(where(event));
  const found = rows.find(([row]) => row >= at) || rows[rows.length - 1];
  if (!found) return;
  document.querySelectorAll('tr.here').forEach(row => row.classList.remove('here'));
  found[1].classList.add('here');
  const box = document.getElementById('sequence');
  box.scrollTop = found[1].offsetTop - box.clientHeight / 2;
});
