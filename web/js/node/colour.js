// What a fusion is made of stands out: these nodes have a colour, also where they are added by hand.

const GREEN = { color: '#232', bgcolor: '#353' }
const COLOURS = {
  KLoRALoadLora: GREEN, KLoRALoadPair: GREEN, KLoRAFuse: GREEN, KLoRASweep: GREEN, KLoRACompose: GREEN
}

/**
 * Gives a new node its colour; one that is read from a workflow has what the workflow says, also none.
 * @param {any} node @param {any} [saved]
 */
export function paint(node, saved) {
  const colour = saved ?? COLOURS[/** @type {keyof typeof COLOURS} */ (node.comfyClass)]
  if (colour) Object.assign(node, { color: colour.color, bgcolor: colour.bgcolor })
}
