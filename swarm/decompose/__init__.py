"""Breaking a request down into sub-tasks over the capabilities that exist; pure, models are passed in.

parse       a sentence, a program or a document of steps, as records
strategies  engines behind one Protocol: rules, trained model, both
learn       trains and asks the model
metric      how right a decomposition is
"""
