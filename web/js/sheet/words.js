// What the sheet of pictures says, in the page's language.

/** @param {number} count */
const pictures = (count) => `${count} picture${count === 1 ? '' : 's'}`

const EN = {
  locale: 'en',
  sheet: 'Sheet of pictures',
  place: 'After a run the pictures of all rules are here, in no order.',
  placeMore: 'Pick those you like: four good ones. What is learned from them is shown next.',
  /** @param {number} round */
  round: (round) => `Round ${round}`,
  pick: 'pick the pictures you like',
  /** @param {number} count @param {boolean} own */
  learned: (count, own) => `learned from ${pictures(count)}${own ? ' and your own' : ''}, beside the best rule`,
  /** @param {string} rule */
  taken: (rule) => `Taken: ${rule}`,
  /** @param {number} number @param {number} count */
  part: (number, count) => `part ${number} of ${count}`,
  /** @param {number} count */
  picked: (count) => `${count} picked`,
  /** @param {number} done @param {number} of */
  coming: (done, of) => `${done} of ${of} pictures`,
  /** @param {number} done @param {number} of */
  stopped: (done, of) => `stopped at ${done} of ${of}, Run goes on`,
  /** @param {number} count */
  learning: (count) => (count ? `learning from ${pictures(count)}` : 'at work'),
  notYet: 'not yet run',
  changed: 'changed, not yet run',
  wired: 'The picks come by a wire: change them where it comes from.',
  more: 'learn and show more',
  moreTold: 'Learns one LoRA from all picks so far, and shows the next round. Without picks: other pictures.',
  /** @param {number} round */
  show: (round) => `show round ${round}`,
  take: 'take it',
  takeTold: 'The result is what you liked more: what was learned, or a rule.',
  over: 'start over',
  overTold: 'Takes all picks back. Undo brings them back.',
  fill: 'fill the window',
  back: 'back',
  keys: '1 to 9, 0, then letters pick; arrows move; Space picks; + shows it large, Escape goes back.',
  /** @param {number} number */
  picture: (number) => `picture ${number}`,
  isPicked: 'picked',
  /** @param {string} rule */
  by: (rule) => `by ${rule}`,
  waits: 'not made yet',
  gone: 'not kept: Run again',
  /** @param {number} number */
  large: (number) => `show picture ${number} large (+)`,
  /** @param {number} number */
  pickIt: (number) => `pick picture ${number}`,
  before: 'the one before',
  after: 'the next one'
}

/** @typedef {typeof EN} Words */

/** @type {Words} */
const ZH = {
  locale: 'zh',
  sheet: '图片样张',
  place: '运行一次后，这里以打乱的顺序显示所有规则的图片。',
  placeMore: '选出喜欢的：四张好的即可。接着显示从中学到的结果。',
  round: (round) => `第 ${round} 轮`,
  pick: '选出喜欢的图片',
  learned: (count, own) => `从 ${count} 张图片${own ? '和您自己的图片' : ''}学得，与最好的规则并排`,
  taken: (rule) => `已采用：${rule}`,
  part: (number, count) => `第 ${number} 份，共 ${count} 份`,
  picked: (count) => `已选 ${count} 张`,
  coming: (done, of) => `${of} 张中的 ${done} 张`,
  stopped: (done, of) => `停在 ${of} 张中的第 ${done} 张，再运行会继续`,
  learning: (count) => (count ? `正在从 ${count} 张图片学习` : '正在生成'),
  notYet: '尚未运行',
  changed: '已更改，尚未运行',
  wired: '所选图片由连线提供：请在连线的来源处更改。',
  more: '学习并显示更多',
  moreTold: '从到目前为止所有选中的图片学出一个 LoRA，并显示下一轮。没有选中时：显示另外的图片。',
  show: (round) => `显示第 ${round} 轮`,
  take: '采用',
  takeTold: '结果取您更喜欢的那个：学到的，或某条规则。',
  over: '重新开始',
  overTold: '取消所有选择。撤销可以恢复。',
  fill: '铺满窗口',
  back: '返回',
  keys: '1 到 9、0、然后字母键选择；方向键移动；空格选择；+ 放大，Esc 返回。',
  picture: (number) => `图片 ${number}`,
  isPicked: '已选',
  by: (rule) => `规则：${rule}`,
  waits: '尚未生成',
  gone: '未保留：请再运行',
  large: (number) => `放大图片 ${number} (+)`,
  pickIt: (number) => `选择图片 ${number}`,
  before: '上一张',
  after: '下一张'
}

/** @type {Words} */
const JA = {
  locale: 'ja',
  sheet: '画像シート',
  place: '実行すると、すべてのルールの画像がばらばらの順でここに並びます。',
  placeMore: '気に入ったものを選びます(良いもの 4 枚)。次に、そこから学んだ結果が表示されます。',
  round: (round) => `ラウンド ${round}`,
  pick: '気に入った画像を選んでください',
  learned: (count, own) => `${count} 枚の画像${own ? 'と自分の画像' : ''}から学習、最良のルールと並べて表示`,
  taken: (rule) => `採用: ${rule}`,
  part: (number, count) => `${count} 分割の ${number} 番目`,
  picked: (count) => `${count} 枚選択`,
  coming: (done, of) => `${of} 枚中 ${done} 枚`,
  stopped: (done, of) => `${of} 枚中 ${done} 枚で停止、実行すると続きます`,
  learning: (count) => (count ? `${count} 枚の画像から学習中` : '作成中'),
  notYet: '未実行',
  changed: '設定変更後、未実行',
  wired: '選択は接続から来ています。接続元で変更してください。',
  more: '学習して次を表示',
  moreTold: 'これまでに選んだすべてから 1 つの LoRA を学習し、次のラウンドを表示します。選択なしなら別の画像です。',
  show: (round) => `ラウンド ${round} を表示`,
  take: 'これに決める',
  takeTold: '結果は、より気に入ったほう(学習したもの、またはルール)です。',
  over: '最初から',
  overTold: 'すべての選択を取り消します。元に戻す操作で戻ります。',
  fill: 'ウィンドウいっぱいに表示',
  back: '戻る',
  keys: '1～9、0、続いて文字キーで選択、矢印で移動、スペースで選択、+ で拡大、Esc で戻ります。',
  picture: (number) => `画像 ${number}`,
  isPicked: '選択済み',
  by: (rule) => `ルール: ${rule}`,
  waits: '未作成',
  gone: '保存なし: もう一度実行してください',
  large: (number) => `画像 ${number} を拡大 (+)`,
  pickIt: (number) => `画像 ${number} を選択`,
  before: '前の画像',
  after: '次の画像'
}

/** @type {Record<string, Words>} */
const TRANSLATED = { zh: ZH, 'zh-CN': ZH, ja: JA }

/** The words for a locale of the page; English where there are none. @param {string} locale @returns {Words} */
export const wordsFor = (locale) => TRANSLATED[locale] ?? EN
