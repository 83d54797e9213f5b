// Text on the canvas.

/**
 * @param {CanvasRenderingContext2D} ctx @param {string} text @param {number} x @param {number} y
 * @param {string} colour @param {CanvasTextAlign} [align]
 */
export function label(ctx, text, x, y, colour, align = 'left') {
  ctx.fillStyle = colour
  ctx.textAlign = align
  ctx.fillText(text, x, y)
}
