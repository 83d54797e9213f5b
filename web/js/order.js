// Block names of slots, as klora_core/order.py gives them.

const STAGES = [
  ['input_blocks', 'down'],
  ['middle_block', 'mid'],
  ['output_blocks', 'up'],
  ['noise_refiner', 'refiner'],
  ['context_refiner', 'refiner'],
  ['double_blocks', 'double'],
  ['joint_blocks', 'joint'],
  ['single_blocks', 'single'],
  ['transformer_blocks', 'block'],
  ['layers', 'layer'],
  ['blocks', 'block']
]
const GROUPS = new Map(STAGES)

/** { group, block } of a slot: `down` and `down 4`. */
export function blockOf(name) {
  const parts = name.split('[', 1)[0].split('.')
  const group = GROUPS.get(parts[0])
  if (group === undefined) return { group: 'other', block: parts[0] }
  if (group === 'mid' || parts.length < 2 || !/^\d+$/.test(parts[1])) return { group, block: group }
  return { group, block: `${group} ${parts[1]}` }
}

/** The slot's name behind its block, without `.weight`: `attn1.to_q`, `qkv[0:3072]`. */
export function nameInBlock(name) {
  const [path, rows] = name.split('[', 2)
  const parts = path.replace(/\.weight$/, '').split('.')
  const { group, block } = blockOf(name)
  const lead = group === 'other' || block === group ? 1 : 2
  const rest = parts.slice(lead).join('.') || parts.join('.')
  return rows === undefined ? rest : `${rest}[${rows}`
}

/** Runs of neighbours with equal keys: [{ key, first, last }], both ends included. */
export function runsOf(keys) {
  const found = []
  keys.forEach((key, index) => {
    const current = found[found.length - 1]
    if (current?.key === key) current.last = index
    else found.push({ key, first: index, last: index })
  })
  return found
}
