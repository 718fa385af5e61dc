"""The prompt writer: one process in front of one language model, behind `i2v.provider.v1.PromptWriter`.

Reading order: scene, instructions, answer, template, price, llm (over transport and fault), writer, service, settings,
app.
"""
