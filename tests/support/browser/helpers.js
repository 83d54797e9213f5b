// What tests ask of the page: set up in each one by live_page.py.
window.klora = {
  gives: (node, type) => node.outputs?.some((output) => output.type === type),
  fuse: () => app.rootGraph.nodes.find((node) => klora.gives(node, 'KLORA_PLAN')),
  // As a file: without what is undefined, which would arrive as null.
  saved: () => JSON.parse(JSON.stringify(app.rootGraph.serialize())),
  root: () => document.querySelector('.klora-map'),
  widget: (name) => klora.fuse().widgets.find((widget) => widget.name === name),
  turn(name, value) {
    const widget = klora.widget(name)
    widget.value = value
    widget.callback?.(value, app.canvas, klora.fuse())
  },
  sent: () => app.nodeOutputs[klora.fuse().id]?.klora?.at(-1),
  // As the page makes it of what was sent; tests/core checks how.
  async plan() {
    const { api } = await import('/scripts/api.js')
    const { SlotSets } = await import('/extensions/k-lora/js/page/slot_sets.js')
    return new SlotSets(api).documentOf(klora.sent())
  },
  async listen() {
    const { api } = await import('/scripts/api.js')
    klora.runs = []
    api.addEventListener('klora.run', ({ detail }) => klora.runs.push(detail))
    klora.prompts = []
    const ends = {}
    const { queuePrompt } = api
    api.queuePrompt = async (...asked) => {
      try {
        const answer = await queuePrompt.apply(api, asked)
        klora.prompts.push(answer.prompt_id)
        return answer
      } catch (error) {
        const id = `refused ${klora.prompts.length}`
        ends[id] = { kind: 'refused', detail: error.response ?? String(error) }
        klora.prompts.push(id)
        throw error
      }
    }
    for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
      api.addEventListener(kind, ({ detail }) => (ends[detail.prompt_id] ??= { kind, detail }))
    // Its own: on a busy machine the end of one before may be heard of later.
    klora.ended = () => ends[klora.prompts.at(-1)]
  },
  async show(document) {
    const { api } = await import('/scripts/api.js')
    const node = String(klora.fuse().id)
    const detail = { node, display_node: node, output: { klora: [document] }, prompt_id: 'none' }
    api.dispatchEvent(new CustomEvent('executed', { detail }))
  },
  // Where a map of these slots and so many columns lies on its canvas.
  async place(slots, count) {
    const { layout } = await import('/extensions/k-lora/js/view/canvas/layout.js')
    const { fontOf } = await import('/extensions/k-lora/js/view/canvas/drawing.js')
    const canvas = klora.root().querySelector('canvas')
    const { width, height } = canvas
    const k = width / canvas.offsetWidth
    const pen = document.createElement('canvas').getContext('2d')
    pen.font = fontOf(k, getComputedStyle(canvas).fontFamily)
    const measure = (text) => pen.measureText(text).width
    return layout({ slots, count, width, height, k, measure })
  },
  // The middle of a cell on the page; of a row of null the axis below the map.
  async point(slots, count, slot, column) {
    const { map, columns, rows, width } = await klora.place(slots, count)
    const box = klora.root().querySelector('canvas').getBoundingClientRect()
    const x = (columns[column] + columns[column + 1]) / 2
    const y = slot === null ? map.bottom + 6 : map.top + (rows.tops[slot] + rows.bottoms[slot]) / 2
    return [box.left + (x * box.width) / width, box.top + (y * box.width) / width]
  },
  // The colour in the middle of each cell, as #rrggbb, [slots][columns].
  async cells(slots, count) {
    const ctx = klora.root().querySelector('canvas').getContext('2d')
    const { map, columns, rows } = await klora.place(slots, count)
    const hex = ([r, g, b]) => '#' + [r, g, b].map((v) => v.toString(16).padStart(2, '0')).join('')
    return slots.map((_, slot) => Array.from({ length: count }, (_, column) => {
      const x = (columns[column] + columns[column + 1]) >> 1
      const y = map.top + ((rows.tops[slot] + rows.bottoms[slot]) >> 1)
      return hex(ctx.getImageData(x, y, 1, 1).data)
    }))
  },
}
