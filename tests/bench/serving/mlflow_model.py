"""Runs in MLflow's own environment: saves the booster as an MLflow model (`mlflow_model.py BOOSTER FOLDER`)."""

import sys

import mlflow.xgboost
import xgboost

booster = xgboost.Booster(model_file=sys.argv[1])
mlflow.xgboost.save_model(booster, sys.argv[2], model_format="ubj")
