"""How nano's weights are made, and what they are worth.

`training_pictures` and `motion` make the data, `captions` its words; `train_vae`, `train_text_encoder` and
`train_transformer` say what a part learns, `training_loop` how, `train` in which order.
 `publish` puts the weights into the form that an export reads, and `judge`
measures the videos that come out.
"""
