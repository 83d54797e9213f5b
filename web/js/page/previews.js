// The picture beside a LoRA file, where the pointer is on its entry in an open list of one of our loaders.

const ROUTE = '/klora/preview?name='
const FILES = new Set(['lora_name', 'subject_lora', 'style_lora'])
/** An open list, and its entries: the canvas's own, and that of Nodes 2.0. */
const LIST = '.litecontextmenu, [role="listbox"]'
const ENTRY = '.litemenu-entry, [role="option"]'
const SIDE = 220
const GAP = 8

export class Previews {
  #app
  #api
  /** The files of the loader whose list is open, or was last. @type {Set<unknown>} */
  #files = new Set()
  #picture = new Image()

  /** @param {any} app @param {any} api */
  constructor(app, api) {
    this.#app = app
    this.#api = api
    this.#picture.className = 'klora-preview'
    this.#picture.alt = ''
    Object.assign(this.#picture.style, {
      position: 'fixed', zIndex: '100000', maxWidth: `${SIDE}px`, maxHeight: `${SIDE}px`, pointerEvents: 'none', borderRadius: '6px',
      boxShadow: '0 4px 16px #000a', visibility: 'hidden'
    })
    this.#picture.addEventListener('load', () => { this.#picture.style.visibility = 'visible' })
  }

  /** From now on. */
  watch() {
    document.addEventListener('pointerdown', (event) => this.#pressed(event), { capture: true, passive: true })
    document.addEventListener('pointerover', (event) => this.#over(event.target), { capture: true, passive: true })
    document.addEventListener('keydown', () => this.#hide(), { capture: true, passive: true })
  }

  /** @param {PointerEvent} event */
  #pressed(event) {
    this.#hide()
    if (event.target instanceof Element && event.target.closest(LIST)) return
    const widgets = this.#nodeAt(event)?.widgets ?? []
    const lists = widgets.filter((/** @type {any} */ { name, type }) => type === 'combo' && FILES.has(name))
    this.#files = new Set(lists.flatMap((/** @type {any} */ list) => valuesOf(list.options?.values)))
  }

  /** One of our loaders under the pointer, or a subgraph that shows its lists. @param {PointerEvent} event */
  #nodeAt(event) {
    const { canvas } = this.#app
    const id = event.target instanceof Element && event.target.closest('[data-node-id]')?.getAttribute('data-node-id')
    const [x, y] = canvas.convertEventToCanvasOffset(event)
    const node = id ? canvas.graph.getNodeById(id) : canvas.graph.getNodeOnPos(x, y)
    return node?.comfyClass?.startsWith('KLoRALoad') || node?.subgraph ? node : null
  }

  /** @param {EventTarget | null} target */
  #over(target) {
    const entry = this.#files.size && target instanceof Element ? target.closest(ENTRY) : null
    const name = entry?.getAttribute('data-value') ?? entry?.textContent?.trim()
    if (!entry || !this.#files.has(name)) return this.#hide()
    const box = entry.getBoundingClientRect()
    const room = innerWidth - box.right > SIDE + GAP
    Object.assign(this.#picture.style, {
      visibility: 'hidden',
      left: room ? `${box.right + GAP}px` : '',
      right: room ? '' : `${innerWidth - box.left + GAP}px`,
      top: `${Math.max(GAP, Math.min(box.top, innerHeight - SIDE - GAP))}px`
    })
    this.#picture.src = this.#api.apiURL(ROUTE + encodeURIComponent(String(name)))
    document.body.append(this.#picture)
  }

  #hide() {
    this.#picture.remove()
  }
}

/** A list's values: some lists make them when they are asked. @param {any} values @returns {unknown[]} */
const valuesOf = (values) => (Array.isArray(values) ? values : [])
